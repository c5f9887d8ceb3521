"""Stores that Beam reaches by a scheme: one in a folder, which behaves as object stores do, and TensorFlow's ``ram``.

Workers in other processes import this module as one of Beam's plugins, and find the folder by the environment.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

FOLDER = "PENSTOCK_TEST_STORE"
"""Environment variable: where the objects of ``store://`` lie."""


class Unwilling(FileSystem):  # type: ignore[misc]  # Beam is untyped.
    """What object stores have in common: no folders, no rename, and no object before all of it is written."""

    @classmethod
    def scheme(cls) -> str:
        return cls.__name__.lower()

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise BeamIOError(f"no folders here: {path}")

    def has_dirs(self) -> bool:
        return False

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        raise BeamIOError("nothing is renamed here")

    def size(self, path: str) -> int:
        return int(self.metadata(path).size_in_bytes)

    def last_updated(self, path: str) -> float:
        return float(self.metadata(path).last_updated_in_seconds)

    def checksum(self, path: str) -> str:
        raise NotImplementedError


class Store(Unwilling):
    """``store://``: TensorFlow does not know it. An object is a file; one that is being written lies beside."""

    def _path(self, url: str) -> Path:
        return Path(os.environ[FOLDER], url.removeprefix("store://"))

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        folder = self._path("")
        for path in sorted(folder.rglob("*")):
            url = f"store://{path.relative_to(folder).as_posix()}"
            if path.is_file() and not path.name.endswith(".unfinished") and url.startswith(dir_or_prefix):
                yield self.metadata(url)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> BinaryIO:
        return cast("BinaryIO", _Unfinished(self._path(path)))

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> BinaryIO:
        return self._path(path).open("rb")

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self._path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._path(source), self._path(target))

    def exists(self, path: str) -> bool:
        return self._path(path).is_file()

    def metadata(self, path: str) -> FileMetadata:
        stat = self._path(path).stat()
        return FileMetadata(path, stat.st_size, stat.st_mtime)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self._path(path).unlink()


class _Unfinished:
    """An object that is there once it is closed."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._final = path
        self._partial = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
        self._stream = self._partial.open("wb")

    def write(self, content: bytes) -> int:
        return self._stream.write(content)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._partial.replace(self._final)


class Ram(Unwilling):
    """``ram://``: TensorFlow's own store in memory, which it reads in C++."""

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        for folder, _, files in _gfile().walk(dir_or_prefix.rpartition("/")[0]):
            for name in files:
                url = f"{folder.rstrip('/')}/{name}"
                if url.startswith(dir_or_prefix):
                    yield self.metadata(url)

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> BinaryIO:
        return cast("BinaryIO", _gfile().GFile(path, "wb"))

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> BinaryIO:
        return cast("BinaryIO", _gfile().GFile(path, "rb"))

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            _gfile().copy(source, target, overwrite=True)

    def exists(self, path: str) -> bool:
        return bool(_gfile().exists(path)) and not _gfile().isdir(path)

    def metadata(self, path: str) -> FileMetadata:
        stat = _gfile().stat(path)
        return FileMetadata(path, stat.length, stat.mtime_nsec / 1e9)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            _gfile().remove(path)


def _gfile() -> Any:
    import tensorflow as tf

    return tf.io.gfile
