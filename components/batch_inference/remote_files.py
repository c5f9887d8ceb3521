"""Files behind URLs, by Beam's file systems. None of it relies on a rename: object stores have none."""

from __future__ import annotations

import io
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from penstock.components.batch_inference.places import State
from penstock.errors import EnvironmentProblem, PenstockError

_CHUNK = 1 << 22
_SUBFOLDERS = ("variables", "assets", "assets.extra")
"""Of a SavedModel: where a file system has folders, Beam lists one at a time."""


def open_url(url: str) -> BinaryIO:
    """Return the bytes of a file as they are; they are read as they are needed.

    Raises:
        EnvironmentProblem: It cannot be opened, or Beam knows no such scheme.
    """
    from apache_beam.io.filesystem import CompressionTypes

    with _told("read", url):
        stream = _files().open(url, compression_type=CompressionTypes.UNCOMPRESSED)
    return cast("BinaryIO", io.BufferedReader(_Remote(url, stream), _CHUNK))


class _Remote(io.RawIOBase):
    """A file whose errors are ours, whoever reads it: what a store fails with must not be taken for a damaged file."""

    def __init__(self, url: str, stream: BinaryIO) -> None:
        super().__init__()
        self._url = url
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        with _told("read", self._url):
            found = self._stream.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with _told("read", self._url):
            self._stream.seek(offset, whence)
            return self._stream.tell()

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
        super().close()


def read_url(url: str) -> bytes | None:
    """Return what a file holds, None if it is not there.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    if not _exists(url):
        return None
    with _told("read", url), open_url(url) as stream:
        return stream.read()


def write_url(url: str, content: bytes) -> None:
    """Write a file; it is there when all of it is. One of that name is replaced.

    Raises:
        EnvironmentProblem: The store cannot be written.
    """
    with _told("written", url), _created(url) as stream:
        stream.write(content)


def upload(source: Path, url: str) -> None:
    """Copy a file of this machine to a store, where it is there when all of it is.

    Raises:
        EnvironmentProblem: The store cannot be written.
    """
    with _told("written", url), source.open("rb") as here, _created(url) as there:
        shutil.copyfileobj(here, there, _CHUNK)


def download(url: str, target: IO[bytes]) -> None:
    """Copy a file of a store to this machine.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    with _told("read", url), open_url(url) as there:
        shutil.copyfileobj(there, target, _CHUNK)


def matching(*patterns: str) -> dict[str, State]:
    """Return the files that globs match, by URL, sorted; ``*`` takes no slash, ``**`` takes any.

    Raises:
        EnvironmentProblem: The store cannot be listed.
    """
    with _told("listed", patterns[0]):
        matches = _files().match(list(patterns))
    found = {entry.path: _found(entry) for match in matches for entry in match.metadata_list}
    return dict(sorted(found.items()))


def below(folder: str) -> dict[str, State]:
    """Return the files below a folder, those in the subfolders of a SavedModel included: path from there → file.

    Raises:
        EnvironmentProblem: The store cannot be listed.
    """
    patterns = [f"{folder}/**"]
    if _has_folders(folder):
        patterns = [f"{folder}/*", *(f"{folder}/{name}/*" for name in _SUBFOLDERS)]
    found = {url.removeprefix(f"{folder}/"): file for url, file in matching(*patterns).items()}
    # Some tools mark folders by empty objects; where there are folders, they are listed themselves.
    return {name: file for name, file in found.items() if name and not name.endswith("/") and name not in _SUBFOLDERS}


def copy_all(names: Collection[str], source: str, target: str) -> None:
    """Copy files of a folder into another of the same store, over those that are there.

    Raises:
        EnvironmentProblem: The store cannot be written.
    """
    with _told("written", target):
        _make_folder(target)
        _files().copy([f"{source}/{name}" for name in names], [f"{target}/{name}" for name in names])


def delete(urls: Sequence[str]) -> None:
    """Remove files that are there.

    Raises:
        EnvironmentProblem: The store cannot be written.
    """
    if urls:
        with _told("written", urls[0]):
            _files().delete(list(urls))


def delete_folder(url: str) -> None:
    """Remove all that is below a folder.

    Raises:
        EnvironmentProblem: The store cannot be written.
    """
    if not _has_folders(url):
        delete(list(matching(f"{url}/**")))
    elif _exists(url):
        delete([url])


def _exists(url: str) -> bool:
    with _told("read", url):
        return bool(_files().exists(url))


def _files() -> Any:
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def _found(entry: Any) -> State:
    return State(entry.size_in_bytes, round(entry.last_updated_in_seconds * 1e9))


def _has_folders(url: str) -> bool:
    with _told("listed", url):
        return bool(_files().get_filesystem(url).has_dirs())


def _make_folder(url: str) -> None:
    if _has_folders(url) and not _exists(url):
        _files().mkdirs(url)


@contextmanager
def _created(url: str) -> Iterator[BinaryIO]:
    from apache_beam.io.filesystem import CompressionTypes

    _make_folder(url.rpartition("/")[0])
    with _files().create(url, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        yield stream


@contextmanager
def _told(done: str, url: str) -> Iterator[None]:
    """Turn what a store refuses, which each does by errors of its own, into one of ours."""
    try:
        yield
    except PenstockError:
        raise
    except Exception as error:
        raise EnvironmentProblem(
            f"the store cannot be {done}",
            where=url,
            received=f"{type(error).__name__}: {error}",
            expected="a URL of a scheme that Beam knows here, and credentials that reach it",
            hint="check both; packages for stores come with Beam's extras, as apache-beam[gcp]",
        ) from error
