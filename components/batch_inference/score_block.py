"""One block of rows → its predictions, and its bad rows with what they were."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa

from penstock.components.batch_inference.features.converted import FeatureMap
from penstock.components.batch_inference.join import holds_arrays, joined
from penstock.components.batch_inference.passing import Passing
from penstock.components.batch_inference.rows import RECORD, BadRow, Block, Predictions, ScoredBlock, row_as_json
from penstock.components.batch_inference.scoring.score import score_rows
from penstock.components.batch_inference.scoring.scorer import Scorer
from penstock.components.batch_inference.scoring.sizing import BatchSizer

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

Nan = Literal["error", "keep"]


@dataclass(frozen=True)
class BlockScorer:
    """Scores blocks. May be shared by threads.

    Args:
        scorer: The model.
        features: How rows feed it.
        passing: What is passed through.
        nan: What becomes of rows with a NaN.
        sizer: How many rows a batch gets; None: a block is a batch.
    """

    scorer: Scorer
    features: FeatureMap
    passing: Passing
    nan: Nan
    sizer: BatchSizer | None = None

    def score(self, block: Block, file: str) -> ScoredBlock:
        """Return what becomes of a block.

        Args:
            block: Rows.
            file: The name of their file, for rows without a key.

        Raises:
            ServingError: The model cannot answer at all.
            PenstockError: As the scorer raises it.
        """
        rows = block.rows
        passed = self.passing.take(rows, block.numbers, file)
        converted = self.features.convert(rows)
        causes = dict(passed.bad) | dict(converted.bad)
        inputs = _kept(converted.inputs, np.isin(converted.good, passed.good))
        places = np.intersect1d(converted.good, passed.good, assume_unique=True)
        if self.nan == "error":
            inputs, places = _without_nan(inputs, places, causes, "the feature")
        outputs, scored = self._outputs(inputs, places, causes)
        if self.nan == "error":
            outputs, scored = _without_nan(outputs, scored, causes, "the output")
        chosen = np.isin(passed.good, scored)
        predictions = Predictions(
            keys=passed.keys.filter(pa.array(chosen)) if not chosen.all() else passed.keys,
            columns=passed.columns.filter(pa.array(chosen)) if not chosen.all() else passed.columns,
            outputs=outputs,
            inputs=_kept(inputs, np.isin(places, scored)),
        )
        bad = [BadRow(int(block.numbers[at]), cause, _original(block, at)) for at, cause in sorted(causes.items())]
        return ScoredBlock(predictions, tuple(sorted([*block.bad, *bad], key=lambda row: row.number)))

    def _outputs(
        self, inputs: Mapping[str, Array], places: Array, causes: dict[int, str]
    ) -> tuple[dict[str, Array], Array]:
        """Return the outputs of the rows at the given places, and the places of those that have any."""
        parts: list[dict[str, Array]] = []
        good: list[Array] = []
        for start, stop in self._batches(len(places)):
            began = time.perf_counter()
            scored = score_rows(self.scorer, {name: array[start:stop] for name, array in inputs.items()}, stop - start)
            if self.sizer is not None and scored.too_large:
                self.sizer.too_large()
            elif self.sizer is not None and not scored.bad:
                self.sizer.timed(stop - start, time.perf_counter() - began)
            causes |= {int(places[start + position]): cause for position, cause in scored.bad}
            if len(scored.good):
                parts.append(scored.outputs)
                good.append(places[start:stop][scored.good])
        return joined(parts), np.concatenate([np.zeros(0, np.int64), *good])

    def _batches(self, rows: int) -> Iterator[tuple[int, int]]:
        start = 0
        while start < rows:
            stop = min(rows, start + (self.sizer.size if self.sizer else rows))
            yield start, stop
            start = stop


def _kept(arrays: Mapping[str, Array], chosen: Array) -> dict[str, Array]:
    if chosen.all():
        return dict(arrays)
    return {name: array[chosen] for name, array in arrays.items()}


def _without_nan(
    arrays: Mapping[str, Array], places: Array, causes: dict[int, str], what: str
) -> tuple[dict[str, Array], Array]:
    """Return only the rows without a NaN; the others get a cause."""
    found = np.zeros(len(places), bool)
    for name, array in arrays.items():
        for position in np.flatnonzero(_has_nan(array)):
            found[position] = True
            causes.setdefault(int(places[position]), f"{what} {name!r} is NaN")
    return _kept(arrays, ~found), places[~found]


def _has_nan(array: Array) -> Array:
    if holds_arrays(array):
        return np.array([bool(_has_nan(row[None])[0]) for row in array])
    if array.dtype.kind != "f":
        return np.zeros(len(array), bool)
    nan: Array = np.asarray(np.isnan(array.reshape(len(array), -1)).any(axis=1))
    return nan


def _original(block: Block, position: int) -> bytes:
    """Return a row as the errors file keeps it: as the file has it, or else the columns as JSON."""
    if block.original is not None:
        return block.original(position)
    if block.rows.schema.names == [RECORD]:
        return block.rows.column(0)[position].as_py()  # type: ignore[no-any-return]
    return row_as_json(block.rows, position)
