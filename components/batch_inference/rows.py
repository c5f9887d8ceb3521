"""Rows on their way from a file to a result: Arrow batches in, arrays out, bad rows aside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import orjson

from penstock.components.batch_inference.plain import plain_value

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array: TypeAlias = np.ndarray[Any, Any]

RECORD = "record"
"""The one column of a block of serialized tf.Examples, or of whole files."""


class BadRow(NamedTuple):
    """A row that got no prediction.

    Attributes:
        number: Its number in its file, from 0; of rows that were lost together, the first one's.
        cause: Why, in a sentence that is the same for rows that fail alike.
        original: What the file holds, None where that cannot be told.
        lost: How many rows it stands for; -1 where damage makes them uncountable.
    """

    number: int
    cause: str
    original: bytes | None = None
    lost: int = 1


@dataclass(frozen=True)
class Block:
    """Consecutive rows of a file.

    Attributes:
        numbers: Each row's number in the file, from 0: int64 [rows].
        rows: The rows.
        bad: Rows between them that could not be read.
        size: Bytes that were read for them, of the file without its compression, about.
        original: Returns what the file holds of the row at a position; None: no more than ``rows``.
    """

    numbers: Array
    rows: pa.RecordBatch
    bad: tuple[BadRow, ...] = ()
    size: int = 0
    original: Callable[[int], bytes] | None = None


def row_as_json(rows: pa.RecordBatch, position: int) -> bytes:
    """Return a row's columns as JSON."""
    columns = [name for name in rows.schema.names if name != RECORD]
    return orjson.dumps(plain_value(rows.select(columns).slice(position, 1).to_pylist()[0]))


@dataclass(frozen=True)
class Predictions:
    """Rows with what the model said of them.

    Attributes:
        keys: What identifies each row: string [rows].
        columns: The columns that are passed through.
        outputs: Output name → array [rows, …]; texts are bytes in an array of objects.
        inputs: What the signature was given, as ``outputs``.
    """

    keys: pa.Array
    columns: pa.RecordBatch
    outputs: Mapping[str, Array]
    inputs: Mapping[str, Array]

    def parts(self, size: int) -> Iterator[Predictions]:
        """Yield consecutive rows of about so many bytes together; none where there are no rows."""
        rows = len(self.keys)
        arrays = [*self.outputs.values(), *self.inputs.values()]
        total = self.columns.nbytes + sum(_size_of(array) for array in arrays)
        step = max(1, rows * size // max(total, 1))
        for start in range(0, rows, step):
            yield self._slice(start, start + step) if step < rows else self

    def _slice(self, start: int, stop: int) -> Predictions:
        return Predictions(
            keys=self.keys.slice(start, stop - start),
            columns=self.columns.slice(start, stop - start),
            outputs={name: array[start:stop] for name, array in self.outputs.items()},
            inputs={name: array[start:stop] for name, array in self.inputs.items()},
        )


@dataclass(frozen=True)
class ScoredBlock:
    """What became of a block: its predictions, and its bad rows in order."""

    predictions: Predictions
    bad: tuple[BadRow, ...]


def _size_of(array: Array) -> int:
    """Return the bytes of an array; of texts, and of arrays of a row each, those that they hold."""
    if array.dtype != object:
        return array.nbytes
    return sum(value.nbytes if hasattr(value, "nbytes") else len(value) for value in array.ravel())
