"""What one worker reads in one go: a file, or a part of a large one."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.components.batch_inference.places import state_of
from penstock.components.batch_inference.words import InputFormat
from penstock.errors import ArtifactError


@dataclass(frozen=True)
class InputFile:
    """An input file as the run found it.

    Attributes:
        path: Where it is: a path, or a URL.
        name: What rows are identified by: the end of the path that no other input file shares.
        format: What it holds.
        gzip: Whether it is compressed.
        size: Its size in bytes.
        modified: When it was last changed, in nanoseconds since 1970.
    """

    path: str
    name: str
    format: InputFormat
    gzip: bool
    size: int
    modified: int

    def require_same(self) -> None:
        """Refuse a file that has changed since the run began.

        Raises:
            ArtifactError: It has, or is gone.
        """
        found = state_of(self.path)
        if found is None:
            raise ArtifactError("an input file is gone since the run began", where=self.path)
        if found != (self.size, self.modified):
            raise ArtifactError(
                "an input file has changed since the run began",
                where=self.path,
                received=f"{found.size} bytes",
                expected=f"{self.size} bytes, and the time of its last change as it was",
                hint="run again once nobody writes it",
            )


@dataclass(frozen=True)
class Part:
    """A part of a file.

    Attributes:
        start: Where it begins: a byte, or of Parquet a row group.
        stop: Before which byte or row group it ends.
        first_row: Number of its first row in the file.
        rows: Its rows, a count.
    """

    start: int
    stop: int
    first_row: int
    rows: int


@dataclass(frozen=True)
class Shard:
    """What becomes one file of results.

    Attributes:
        index: Its number among all shards, which are in the order of the files' names and of the rows in them.
        file: The file.
        part: The part of it; None is all of it.
    """

    index: int
    file: InputFile
    part: Part | None = None

    @property
    def size(self) -> int:
        """Bytes of the file that are read for it, about."""
        if self.part is None or self.file.format == "parquet":
            return self.file.size
        return self.part.stop - self.part.start


@dataclass(frozen=True)
class Limits:
    """The most that a block of rows may hold.

    Attributes:
        rows: Rows, a count.
        size: Bytes, about.
    """

    rows: int
    size: int
