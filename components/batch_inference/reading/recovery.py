"""What is left of a damaged TFRecord file.

A record is its length (8 bytes), a checksum of the length, the data, and a checksum of the data. A damaged length says
nothing about where the next record begins; the checksum of the next length does: it is searched for, byte by byte.
"""

from __future__ import annotations

import gzip
import mmap
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from penstock.components.batch_inference.framing import FOOTER, HEADER, length_at, masked
from penstock.components.batch_inference.places import is_url, open_file
from penstock.components.batch_inference.shards import Shard

_CHUNK = 1 << 12
_SHOWN = 1 << 16
"""Bytes of what was lost that go into the errors file, at most."""


@dataclass(frozen=True)
class Lost:
    """A place in the file that holds no record any more.

    Attributes:
        cause: Why, the same for places that are damaged alike.
        original: The bytes that are there, the first 64 KiB of them.
        rows: Records that were lost there, a count; -1 where that cannot be told.
    """

    cause: str
    original: bytes
    rows: int


def salvage(shard: Shard, row: int) -> Iterator[tuple[int, bytes | Lost]]:
    """Yield what a file holds from a row on, as (number of the row, its record or what was lost).

    A loss whose rows cannot be counted stands for one, so that the numbers after it may be too low.

    Args:
        shard: The file, of which a part is searched where the shard is one.
        row: The row to begin with.
    """
    first = shard.part.first_row if shard.part else 0
    with _readable(shard) as (data, complaint):
        start, stop = (shard.part.start, shard.part.stop) if shard.part else (0, len(data))
        for number, found in enumerate(_records(data, start, stop), start=first):
            first = number + 1
            if number >= row:
                yield number, found
    if complaint is not None:
        yield first, Lost(complaint, b"", -1)


def _records(data: mmap.mmap | bytes, position: int, limit: int) -> Iterator[bytes | Lost]:
    """Yield the records that begin before a limit, from a position at which one begins."""
    end = len(data)
    while position < limit:
        length = length_at(data, position)
        stop = position + HEADER.size + (length or 0) + FOOTER.size
        if length is None or stop > end:
            following = _next_record(data, position + 1)
            yield _between(data, position, following, cut=following == end)
            position = following
            continue
        body = data[position + HEADER.size : stop - FOOTER.size]
        intact = FOOTER.unpack_from(data, stop - FOOTER.size)[0] == masked(body)
        yield body if intact else Lost("the record is damaged: its checksum is another", body[:_SHOWN], 1)
        position = stop


def _between(data: mmap.mmap | bytes, start: int, stop: int, *, cut: bool) -> bytes | Lost:
    """Return what lies before the next record: one that only its length was damaged of is whole."""
    body = data[start + HEADER.size : stop - FOOTER.size]
    if stop - start >= HEADER.size + FOOTER.size and FOOTER.unpack_from(data, stop - FOOTER.size)[0] == masked(body):
        return body
    if cut:
        return Lost("the file ends within a record", data[start : min(stop, start + _SHOWN)], 1)
    return Lost("the length of a record is damaged", data[start : min(stop, start + _SHOWN)], -1)


def _next_record(data: mmap.mmap | bytes, position: int) -> int:
    """Return where the next record begins, or where the file ends."""
    end = len(data)
    while True:
        # Only lengths below 4 GiB are searched for: their upper half is zero.
        zeros = data.find(b"\0\0\0\0", position + 4)
        if zeros < 0:
            return end
        position = zeros - 4
        length = length_at(data, position)
        if length is not None and position + HEADER.size + length + FOOTER.size <= end:
            return position
        position += 1


@contextmanager
def _readable(shard: Shard) -> Iterator[tuple[mmap.mmap | bytes, str | None]]:
    """Give the bytes of the records, and what is to be said of those that cannot be decompressed."""
    with tempfile.TemporaryFile() as unpacked, open_file(shard.file.path) as packed:
        complaint = _unpack(packed, unpacked) if shard.file.gzip else None
        if is_url(shard.file.path) and not shard.file.gzip:
            shutil.copyfileobj(packed, unpacked)
            unpacked.flush()
        source = unpacked if shard.file.gzip or is_url(shard.file.path) else packed
        if source.seek(0, 2) == 0:
            yield b"", complaint
            return
        with mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data, complaint


def _unpack(packed: BinaryIO, unpacked: BinaryIO) -> str | None:
    """Decompress as far as that goes; return why no further."""
    with gzip.GzipFile(fileobj=packed) as stream:
        try:
            # What is read in the call that meets the damage is lost: little at a time.
            while chunk := stream.read1(_CHUNK):
                unpacked.write(chunk)
        except (OSError, EOFError, zlib.error) as error:
            unpacked.flush()
            reason = "it ends too early" if isinstance(error, EOFError) else str(error)
            return f"the compressed file is damaged, and what follows cannot be recovered: {reason}"
    unpacked.flush()
    return None
