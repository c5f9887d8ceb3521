"""Rows that are elements of a PCollection → rows with predictions, and rows without: what streams and tables share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import PredictionResult, RunInference

from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.beam.row_scorer import Failed

_GOOD, _BAD = "good", "bad"


@dataclass(frozen=True)
class Selection:
    """What a result has besides the outputs.

    Attributes:
        key: The column that identifies a row; None: nothing does.
        include: Columns that are passed through.
    """

    key: str | None = None
    include: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scored:
    """Two PCollections.

    Attributes:
        results: A dictionary for each row with a prediction: ``key``, the columns that are passed through, and the
            outputs as plain values; texts are bytes.
        errors: Row and cause of each row without one.
    """

    results: Any
    errors: Any


def score_rows(rows: Any, handler: SavedModelHandler, selection: Selection) -> Scored:
    """Score the elements of a PCollection.

    Args:
        rows: PCollection of feature name → value.
        handler: The model.
        selection: What a result has besides the outputs.
    """
    answers = rows | "Score" >> RunInference(handler)
    split = answers | "Split" >> beam.ParDo(_Split(selection)).with_outputs(_BAD, main=_GOOD)
    return Scored(split[_GOOD], split[_BAD])


class _Split(beam.DoFn):
    def __init__(self, selection: Selection) -> None:
        super().__init__()
        self._selection = selection

    def process(self, result: PredictionResult) -> Iterator[Any]:
        row: Mapping[str, Any] = result.example
        if isinstance(result.inference, Failed):
            yield beam.pvalue.TaggedOutput(_BAD, (row, result.inference.cause))
            return
        if missing := self._missing(row):
            yield beam.pvalue.TaggedOutput(_BAD, (row, f"the column {missing!r} is missing"))
            return
        key = {} if self._selection.key is None else {"key": row[self._selection.key]}
        passed = {name: row[name] for name in self._selection.include}
        yield key | passed | {name: _plain(value) for name, value in result.inference.items()}

    def _missing(self, row: Mapping[str, Any]) -> str | None:
        wanted = [*([self._selection.key] if self._selection.key else []), *self._selection.include]
        return next((name for name in wanted if name not in row), None)


def _plain(value: Any) -> Any:
    """Return an output as Python's own values; a float32 as the shortest decimal that means it."""
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind == "f" and value.dtype.itemsize < 8:
            value = value.astype(str).astype(np.float64)
        return value.tolist()
    return value
