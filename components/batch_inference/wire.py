"""Protocol buffers of whole batches, made column by column instead of message by message.

A message is a concatenation of fields, and a field is a tag, a length and a payload. So the messages of all rows are
columns of bytes side by side, between them what is the same in every row; Arrow joins them in C++, once, at the end.
Fields are written in ascending order, as protobuf itself does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.batch_inference.join import holds_arrays

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

    Part: TypeAlias = bytes | pa.Array

_FLOAT_LIST, _INT64_LIST, _BYTES_LIST = 2, 3, 1
_EMPTY = pa.scalar(b"", pa.binary())
_SMALL = 1 << 14
"""Lengths below this have their varints in a table."""


@dataclass(frozen=True)
class Bytes:
    """Bytes of each row of a batch.

    Attributes:
        parts: What they are the concatenation of: columns, or bytes that are the same in every row.
        size: How many they are: a count if they are as many in every row, otherwise int64 [rows].
    """

    parts: tuple[Part, ...]
    size: int | Array

    def column(self, rows: int) -> pa.Array:
        """Return them as one column."""
        if all(isinstance(part, bytes) for part in self.parts):
            return pa.repeat(pa.scalar(b"".join(self.parts), pa.binary()), rows)
        if len(self.parts) == 1:
            return self.parts[0]
        return pc.binary_join_element_wise(*map(_operand, self.parts), _EMPTY)


def same(content: bytes) -> Bytes:
    """Return bytes that are the same in every row."""
    return Bytes((content,), len(content))


def varying(column: pa.Array) -> Bytes:
    """Return the bytes of a binary column."""
    lengths = pc.binary_length(column).to_numpy().astype(np.int64)
    alike = len(lengths) > 0 and (lengths == lengths[0]).all()
    return Bytes((column,), int(lengths[0]) if alike else lengths)


def join(pieces: Iterable[Bytes]) -> Bytes:
    """Return the concatenation of pieces."""
    merged: list[Part] = []
    size: int | Array = 0
    for piece in pieces:
        size = size + piece.size
        for part in piece.parts:
            if merged and isinstance(part, bytes) and isinstance(merged[-1], bytes):
                merged[-1] += part
            else:
                merged.append(part)
    return Bytes(tuple(merged), size)


def varint(number: int) -> bytes:
    """Return a number, 0 or more, as protobuf writes it."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def field(number: int, payload: Bytes) -> Bytes:
    """Return a field that holds bytes, a text or a message."""
    tag = same(varint(number << 3 | 2))
    length = same(varint(payload.size)) if isinstance(payload.size, int) else varying(_varints(payload.size))
    return join([tag, length, payload])


def number_field(number: int, value: int) -> Bytes:
    """Return a field that holds a number, the same in every row."""
    return same(varint(number << 3) + varint(value))


def raw(array: Array) -> Bytes:
    """Return the bytes of each row of an array of numbers, little-endian."""
    rows = np.ascontiguousarray(array.reshape(len(array), -1))
    width = rows.shape[1] * rows.itemsize
    offsets = np.arange(len(rows) + 1, dtype=np.int32) * np.int32(width)
    return Bytes((_binary(offsets, rows),), width)


def integers(array: Array) -> Bytes:
    """Return the numbers of each row as varints, one after the other; negative ones as protobuf's int64 has them."""
    flat = np.ascontiguousarray(array.reshape(len(array), -1)).astype(np.int64).view(np.uint64)
    if flat.size and flat.max() < 0x80:
        return raw(flat.astype(np.uint8))
    shifts = np.arange(10, dtype=np.uint64) * np.uint64(7)
    groups = (flat[..., None] >> shifts) & np.uint64(0x7F)
    # A group is written if it, or one above it, is not zero; the first always is.
    written = np.maximum.accumulate(groups[..., ::-1] != 0, axis=-1)[..., ::-1]
    written[..., 0] = True
    more = np.zeros_like(written)
    more[..., :-1] = written[..., 1:]
    octets = (groups | (more.astype(np.uint64) << np.uint64(7))).astype(np.uint8)
    offsets = np.concatenate([[0], np.cumsum(written.sum(axis=(1, 2)))]).astype(np.int32)
    return varying(_binary(offsets, octets[written]))


def texts(array: Array) -> Bytes:
    """Return one text a row."""
    return varying(pa.array(array, pa.binary()))


def encode_examples(features: Mapping[str, Array], rows: int) -> pa.Array:
    """Return a serialized tf.Example for each row.

    Args:
        features: Name → array [rows, …], flattened in each row; texts are bytes in an array of objects.
        rows: Rows, a count.
    """
    return example(features).column(rows)


def example(features: Mapping[str, Array]) -> Bytes:
    """Return the tf.Example of each row."""
    return field(1, join(_entry(name, array) for name, array in sorted(features.items())))


def _entry(name: str, array: Array) -> Bytes:
    """Return an entry of the map ``Features.feature``."""
    return field(1, join([field(1, same(name.encode())), field(2, _feature(array))]))


def _feature(array: Array) -> Bytes:
    if holds_arrays(array):
        return by_row(_feature, array)
    if array.dtype == object:
        columns = array.reshape(len(array), -1).T
        return field(_BYTES_LIST, join(field(1, texts(column)) for column in columns))
    if array.dtype.kind in "biu":
        return field(_INT64_LIST, field(1, integers(array)))
    return field(_FLOAT_LIST, field(1, raw(array.astype("<f4", copy=False))))


def by_row(encode: Callable[[Array], Bytes], array: Array) -> Bytes:
    """Encode an array that holds an array a row, of shapes that may differ, row by row."""
    return varying(pa.array([encode(row[None]).column(1)[0].as_py() for row in array], pa.binary()))


def _operand(part: Part) -> pa.Array | pa.Scalar:
    return pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part


def _binary(offsets: Array, content: Array) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(content))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _varints(numbers: Array) -> pa.Array:
    if len(numbers) and int(numbers.max()) < _SMALL:
        return _table().take(pa.array(numbers))
    distinct, places = np.unique(numbers, return_inverse=True)
    return pa.array([varint(int(number)) for number in distinct], pa.binary()).take(pa.array(places))


@cache
def _table() -> pa.Array:
    return pa.array([varint(number) for number in range(_SMALL)], pa.binary())
