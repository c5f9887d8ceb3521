"""What the inputs of a signature get of a block of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from penstock.components.batch_inference.bisect import bisect
from penstock.components.batch_inference.join import concatenated

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array


@dataclass(frozen=True)
class Converted:
    """Arrays of the good rows.

    Attributes:
        inputs: Input name → array [good rows, …].
        good: Positions of the good rows in the block: int64, ascending.
        bad: Position and cause of each bad row, ascending.
    """

    inputs: Mapping[str, Array]
    good: Array
    bad: tuple[tuple[int, str], ...] = ()


class FeatureMap(Protocol):
    """Turns blocks of rows into what a signature takes. Travels between processes."""

    @property
    def columns(self) -> Mapping[str, pa.DataType | None]:
        """The columns that are read, each with the type of its bare values; None where any will do."""

    def convert(self, rows: pa.RecordBatch) -> Converted:
        """Return the arrays of a block, bad rows aside."""

    def explain(self) -> list[str]:
        """Return a line for each input of the signature: what feeds it."""


def convert_columns(rows: int, columns: Mapping[str, Callable[[int, int], Array]]) -> Converted:
    """Convert columns one by one; a row that is bad in one of them is left out of all.

    Args:
        rows: Rows of the block, a count.
        columns: Input name → converts the rows from a first to one before which to stop, or refuses to.
    """
    found = {name: bisect(convert, rows) for name, convert in columns.items()}
    causes: dict[int, str] = {}
    for column in found.values():
        for position, cause in column.bad:
            causes.setdefault(position, cause)
    good = np.setdiff1d(np.arange(rows), np.array(sorted(causes), np.int64), assume_unique=True)
    if not len(good):
        return Converted({}, good, tuple(sorted(causes.items())))
    inputs = {name: _joined(column.parts, good) for name, column in found.items()}
    return Converted(inputs, good, tuple(sorted(causes.items())))


def _joined(parts: Sequence[tuple[int, int, Array]], good: Array) -> Array:
    """Return the good rows of what may be several ranges."""
    positions = np.concatenate([np.arange(start, stop) for start, stop, _ in parts])
    values = concatenated([array for _, _, array in parts])
    return values if len(positions) == len(good) else values[np.isin(positions, good, assume_unique=True)]
