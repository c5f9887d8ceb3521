"""How TFRecords lie in a file: the length of each (8 bytes), its checksum, the data, and their checksum."""

from __future__ import annotations

import mmap
import struct
from functools import cache
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
FRAME = HEADER.size + FOOTER.size
"""Bytes around each record."""
_MASK = 0xA282EAD8
_EMPTY = pa.scalar(b"", pa.binary())


def masked(data: bytes) -> int:
    """Return the checksum of data as TFRecords store it."""
    checksum = int(google_crc32c.value(data))
    return ((checksum >> 15 | checksum << 17) + _MASK) & 0xFFFFFFFF


def length_at(data: mmap.mmap | bytes, position: int) -> int | None:
    """Return the length of the record at a position, None where its checksum says that there is none."""
    if position + HEADER.size > len(data):
        return None
    length, checksum = HEADER.unpack_from(data, position)
    return int(length) if checksum == masked(data[position : position + 8]) else None


def framed(records: pa.Array) -> memoryview:
    """Return the records of a binary column as they lie in a file."""
    plain: list[bytes] = records.to_numpy(zero_copy_only=False).tolist()
    checksums = np.fromiter(map(google_crc32c.value, plain), np.uint32, len(plain))
    footers = ((checksums >> np.uint32(15) | checksums << np.uint32(17)) + np.uint32(_MASK)).astype("<u4")
    lengths = pc.binary_length(records)
    if not len(plain):
        return memoryview(b"")
    headers = lengths.dictionary_encode()
    texts = pa.array([_header(length) for length in headers.dictionary.to_pylist()], pa.binary())
    joined = pc.binary_join_element_wise(texts.take(headers.indices), records, _column(footers), _EMPTY)
    _, offsets, content = joined.buffers()
    first, *_, last = np.frombuffer(offsets, np.int32)[joined.offset : joined.offset + len(joined) + 1]
    return memoryview(content)[int(first) : int(last)]


@cache
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + FOOTER.pack(masked(packed))


def _column(numbers: Array) -> pa.Array:
    offsets = np.arange(len(numbers) + 1, dtype=np.int32) * np.int32(numbers.itemsize)
    return pa.Array.from_buffers(pa.binary(), len(numbers), [None, pa.py_buffer(offsets), pa.py_buffer(numbers)])
