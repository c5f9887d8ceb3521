"""Scores rows that come one by one: dictionaries, arrays, or serialized tf.Examples; one answer a row, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from penstock.components.batch_inference.bisect import Refused, bisect
from penstock.components.batch_inference.features.choose import Offer, feature_map
from penstock.components.batch_inference.features.example_spec import ExampleFeature
from penstock.components.batch_inference.features.gather import sources_of
from penstock.components.batch_inference.passing import ColumnPassing
from penstock.components.batch_inference.rows import RECORD, Block
from penstock.components.batch_inference.score_block import BlockScorer, Nan
from penstock.components.batch_inference.scoring.scorer import Scorer

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

Answer = dict[str, Any]
"""Output name → the row's value: an array, a number, or bytes."""
_WHERE = "rows that come one by one"


@dataclass(frozen=True)
class Failed:
    """Stands where a row has no prediction.

    Attributes:
        cause: Why, in a sentence that is the same for rows that fail alike.
    """

    cause: str


class RowScorer:
    """Scores rows, a batch at a time. A bad row costs itself only.

    Args:
        scorer: The model.
        features: What the model parses out of serialized tf.Examples, as far as that is known: with it, rows of plain
            values can be put together for a signature that takes Examples.
        nan: What becomes of rows with a NaN.
    """

    def __init__(self, scorer: Scorer, features: Sequence[ExampleFeature] = (), nan: Nan = "error") -> None:
        self._scorer = scorer
        self._features = tuple(features)
        self._nan: Nan = nan
        self._blocks: dict[tuple[str, ...], BlockScorer] = {}
        inputs = scorer.signature.inputs
        self._inputs = [spec.name for spec in inputs]
        one_text = len(inputs) == 1 and inputs[0].dtype == "string"
        self._takes_examples = one_text and bool(features)
        self._takes_bytes = one_text and not features

    def score(self, rows: Sequence[Any]) -> list[Answer | Failed]:
        """Return what the model says of each row, in order.

        Args:
            rows: Serialized tf.Examples (bytes), feature name → value, or, for a signature with one input, its value.

        Raises:
            ConfigError: The signature takes what such rows cannot hold.
            ServingError: The model cannot answer about any row.
            PenstockError: As the scorer raises it.
        """
        answers: list[Answer | Failed] = [Failed("")] * len(rows)
        # Rows that fit into no columns together, as 1 and "one", are scored apart.
        found = bisect(lambda start, stop: self._columns(rows[start:stop]), len(rows))
        for position, cause in found.bad:
            answers[position] = Failed(cause)
        for start, stop, columns in found.parts:
            scored = self._block_scorer(columns).score(Block(np.arange(start, stop), columns), "")
            bad = {row.number: row.cause for row in scored.bad}
            good = [number for number in range(start, stop) if number not in bad]
            for number, cause in bad.items():
                answers[number] = Failed(cause)
            for place, number in enumerate(good):
                answers[number] = {name: values[place] for name, values in scored.predictions.outputs.items()}
        return answers

    def _columns(self, rows: Sequence[Any]) -> pa.RecordBatch:
        """Return rows as columns, those that the signature does not need left out."""
        if all(isinstance(row, bytes) for row in rows) and not self._takes_bytes:
            return pa.RecordBatch.from_arrays([pa.array(rows, pa.binary())], [RECORD])
        named = [self._named(row) for row in rows]
        columns = {name: [_listed(row.get(name)) for row in named] for name in self._wanted(named)}
        try:
            return pa.RecordBatch.from_pydict(columns)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            raise Refused(f"the row cannot be read: {error}") from error

    def _named(self, row: Any) -> Mapping[str, Any]:
        if isinstance(row, Mapping):
            return row
        if len(self._inputs) == 1:
            return {self._inputs[0]: row}
        raise Refused(f"the row is {type(row).__name__}, and the signature takes {', '.join(self._inputs)} by name")

    def _wanted(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        there = list(dict.fromkeys(name for row in rows for name in row))
        specs = self._scorer.signature.inputs
        if self._takes_examples and self._inputs[0] not in there:
            specs = tuple(feature.spec for feature in self._features if feature.required or feature.name in there)
        sources = sources_of(specs, there)
        return [name for spec in specs for name in sources.get(spec.name, (spec.name,))]

    def _block_scorer(self, columns: pa.RecordBatch) -> BlockScorer:
        names = tuple(columns.schema.names)
        if names not in self._blocks:
            records = names == (RECORD,) and RECORD not in self._inputs
            known = {*(feature.name for feature in self._features), *self._inputs}
            offer = Offer("tfrecord" if records else "jsonl", _schema(sorted(known) if records else names), _WHERE)
            features = feature_map(self._scorer.signature, offer, self._features)
            self._blocks[names] = BlockScorer(self._scorer, features, ColumnPassing((), None), self._nan)
        return self._blocks[names]


def _schema(names: Sequence[str]) -> pa.Schema:
    """Return a schema of which only the names count."""
    return pa.schema([(name, pa.null()) for name in names])


def _listed(value: Any) -> Any:
    """Return what Arrow takes: arrays of more than one dimension as lists."""
    array: Array = value
    return array.tolist() if isinstance(value, np.ndarray) and array.ndim != 1 else value
