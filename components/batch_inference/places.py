"""Paths of this machine, and URLs of what Beam knows besides: object stores, HDFS."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeAlias

_SCHEME = "://"


@dataclass(frozen=True)
class Url:
    """A file or a folder by its URL, joined and taken apart as a path is.

    Attributes:
        text: The URL, without a slash at the end.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def __truediv__(self, name: str) -> Url:
        return Url(f"{self.text}/{name}")

    @property
    def name(self) -> str:
        """What stands behind the last slash."""
        return self.text.rpartition("/")[2]

    @property
    def parent(self) -> Url:
        """The folder that it lies in."""
        return Url(self.text.rpartition("/")[0])


Place: TypeAlias = Path | Url


def is_url(text: str) -> bool:
    """Whether a text is a URL, and no path of this machine."""
    return _SCHEME in text


def place_of(text: str) -> Place:
    """Return the place that a text names; a relative path begins at the working directory."""
    return Url(text.rstrip("/")) if is_url(text) else Path(text).absolute()


class State(NamedTuple):
    """What a file system says of a file.

    Attributes:
        size: Bytes.
        modified: When it was last changed, in nanoseconds since 1970.
    """

    size: int
    modified: int


def state_of(path: str) -> State | None:
    """Return the state of a file, None if it is not there.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    if is_url(path):
        from penstock.components.batch_inference.remote_files import matching

        return matching(glob.escape(path)).get(path)
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return None
    return State(found.st_size, found.st_mtime_ns)


def open_file(path: str) -> BinaryIO:
    """Return the bytes of a file as they are, from wherever it lies; it can be sought in.

    Raises:
        OSError: It cannot be opened.
        EnvironmentProblem: As :func:`penstock.components.batch_inference.remote_files.open_url`.
    """
    if not is_url(path):
        return Path(path).open("rb")
    from penstock.components.batch_inference.remote_files import open_url

    return open_url(path)
