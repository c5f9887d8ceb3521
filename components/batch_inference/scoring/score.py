"""Asks a scorer about a batch; rows that it refuses are told apart from those that it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from penstock.components.batch_inference.bisect import Refused, bisect, cause_of
from penstock.components.batch_inference.join import holds_arrays, joined
from penstock.errors import ArtifactError
from penstock.serving.errors import Code, ServingError

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array
    from penstock.components.batch_inference.scoring.scorer import Scorer

_FATAL = frozenset(
    {
        Code.CANCELLED,
        Code.DEADLINE_EXCEEDED,
        Code.NOT_FOUND,
        Code.PERMISSION_DENIED,
        Code.UNAUTHENTICATED,
        Code.FAILED_PRECONDITION,
        Code.UNAVAILABLE,
        Code.UNIMPLEMENTED,
    }
)


@dataclass(frozen=True)
class Scored:
    """What became of a batch.

    Attributes:
        outputs: Output name → array of the good rows, in order.
        good: Positions of the good rows in the batch: int64, ascending.
        bad: Position and cause of each bad row, ascending.
        too_large: Whether the batch was more than the memory holds.
    """

    outputs: dict[str, Array]
    good: Array
    bad: tuple[tuple[int, str], ...]
    too_large: bool = False


def is_fatal(error: ServingError) -> bool:
    """Whether an error is not about rows: another batch would fail alike."""
    return error.code in _FATAL


def score_rows(scorer: Scorer, inputs: Mapping[str, Array], rows: int) -> Scored:
    """Return the outputs of all rows that have any.

    Args:
        scorer: Whom to ask.
        inputs: Input name → array [rows, …]; an array of objects may hold one array a row, of different shapes.
        rows: Rows of the batch, a count.

    Raises:
        ServingError: The model cannot answer about any row.
        ArtifactError: An output has not one value a row.
        PenstockError: As the scorer raises it.
    """
    codes: set[Code] = set()

    def ask(start: int, stop: int) -> dict[str, Array]:
        try:
            outputs = scorer.score({name: _stacked(array[start:stop]) for name, array in inputs.items()})
        except ServingError as error:
            if is_fatal(error):
                raise
            codes.add(error.code)
            raise Refused(f"the model refuses it: {cause_of(error)}") from error
        _require_rows(outputs, stop - start)
        return outputs

    found = bisect(ask, rows)
    good = [np.arange(start, stop) for start, stop, _ in found.parts]
    return Scored(
        outputs=joined([answer for _, _, answer in found.parts]),
        good=np.concatenate(good) if good else np.zeros(0, np.int64),
        bad=found.bad,
        too_large=Code.RESOURCE_EXHAUSTED in codes,
    )


def _stacked(array: Array) -> Array:
    """Return rows that hold an array each as one array."""
    if not holds_arrays(array):
        return array
    if len({row.shape for row in array}) > 1:
        raise Refused("rows of different shapes are no batch")  # Of a single row this is never so.
    return np.stack(list(array))


def _require_rows(outputs: Mapping[str, Array], rows: int) -> None:
    for name, array in outputs.items():
        if array.ndim == 0 or array.shape[0] != rows:
            raise ArtifactError(
                f"the output {name!r} has not one value a row, so it cannot be told which row it is of",
                received=f"shape {list(array.shape)} for a batch of {rows}",
                expected=f"[{rows}, …]",
                hint="leave it out: output: {outputs: […]}",
            )
