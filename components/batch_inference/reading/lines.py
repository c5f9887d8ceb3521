"""Bytes of a text file, decompressed; where that fails, up to the last whole line."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from penstock.components.batch_inference.places import open_file
from penstock.components.batch_inference.shards import InputFile

_CHUNK = 1 << 20
_AFTER_DAMAGE = "the compressed file is damaged, and what follows cannot be recovered"


class Lines(io.RawIOBase):
    """A stream of whole lines. What is after damage to the compression is left out, and told of.

    Args:
        read: Reads at most so many bytes, decompressed, and little at a time: what is decompressed in the call that
            meets the damage is lost.

    Attributes:
        complaint: Why the stream ended too early, None if it did not.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        super().__init__()
        self._read = read
        self._ready = b""
        self._begun = b""
        """A line that has not ended yet: of a damaged file it must not be taken for a whole one."""
        self._ended = False
        self.complaint: str | None = None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read whole lines, or a part of them, into a buffer; return how many bytes, 0 at the end."""
        while not self._ready and not self._ended:
            self._fill()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _fill(self) -> None:
        try:
            chunk = self._read(_CHUNK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            reason = "it ends too early" if isinstance(error, EOFError) else str(error)
            self.complaint = f"{_AFTER_DAMAGE}: {reason}"
            self._ended = True
            return
        if not chunk:
            self._ended = True
            self._ready, self._begun = self._begun, b""
            return
        whole, newline, begun = chunk.rpartition(b"\n")
        if newline:
            self._ready, self._begun = self._begun + whole + newline, begun
        else:
            self._begun += chunk


@contextmanager
def open_lines(file: InputFile, start: int = 0) -> Iterator[Lines]:
    """Give the lines of a text file, of one without compression from a byte on."""
    with open_file(file.path) as packed:
        if not file.gzip:
            packed.seek(start)
            yield Lines(packed.read)
            return
        with gzip.GzipFile(fileobj=packed) as stream:
            yield Lines(stream.read1)
