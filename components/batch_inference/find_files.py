"""The input files of a run: what the patterns match, what each holds, and what its rows are called by."""

from __future__ import annotations

import glob
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from penstock.components.batch_inference.framing import HEADER, length_at
from penstock.components.batch_inference.places import is_url, open_file, state_of
from penstock.components.batch_inference.remote_files import matching
from penstock.components.batch_inference.shards import InputFile
from penstock.components.batch_inference.words import InputFormat
from penstock.errors import ConfigError, EnvironmentProblem

_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_PROBED = 1 << 12
_SUFFIXES: dict[str, InputFormat] = {
    ".csv": "csv",
    ".json": "jsonl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".tfrecord": "tfrecord",
    ".tfrecords": "tfrecord",
}


def find_files(patterns: Sequence[str], wanted: InputFormat | None) -> tuple[InputFile, ...]:
    """Return the files that paths, globs and folders name, sorted by path.

    Args:
        patterns: What was asked for. Of a folder, all files that lie in it directly count, hidden ones excepted.
        wanted: What they hold; None: what their names say, or else their first bytes.

    Raises:
        ConfigError: Nothing matches, the format cannot be told, or the files are of several formats.
        EnvironmentProblem: A file cannot be read.
    """
    paths = sorted({path for pattern in patterns for path in _matching(pattern)})
    formats = {path: wanted or format_of(path) or _format_by_content(path) for path in paths}
    unknown = [path for path, found in formats.items() if found is None]
    if unknown:
        raise ConfigError(
            "what the file holds cannot be told from its name or its first bytes",
            where=unknown[0],
            expected=f"a name that ends with {', '.join(_SUFFIXES)}, each with or without .gz",
            hint="say it: --input-format, or `format` under `input`",
        )
    kinds = {found: path for path, found in reversed(formats.items())}
    if len(kinds) > 1:
        raise ConfigError(
            "the input files are of several formats",
            received="; ".join(f"{kind}: {path}" for kind, path in sorted(kinds.items(), key=str)),
            expected="one format in a run",
            hint="score them one format after the other, or say --input-format if the names are wrong",
        )
    names = _names(paths)
    return tuple(_file(path, name, found) for (path, found), name in zip(formats.items(), names, strict=True) if found)


def format_of(path: str) -> InputFormat | None:
    """Return what a file holds by its name, None where that says nothing."""
    name = Path(path).name.lower()
    for suffix, found in _SUFFIXES.items():
        if name.removesuffix(".gz").endswith(suffix):
            return found
    # As TFX names them: data_tfrecord-00000-of-00001.gz, eval-00000-of-00001.tfrecord.gz.
    return "tfrecord" if "tfrecord" in name else None


def _format_by_content(path: str) -> InputFormat | None:
    """Return what a file holds that begins as no other format does: Parquet, or TFRecords."""
    with _readable(path) as stream:
        begin = stream.read(HEADER.size)
        if begin.startswith(_GZIP):
            stream.seek(0)
            begin = _unpacked(stream.read(_PROBED))
    if begin.startswith(_PARQUET):
        return "parquet"
    return "tfrecord" if length_at(begin, 0) is not None else None


def _unpacked(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(packed, HEADER.size)
    except zlib.error:
        return b""  # Damaged: its content tells nothing.


def _matching(pattern: str) -> list[str]:
    if is_url(pattern):
        return _at_url(pattern)
    path = Path(pattern)
    if path.is_dir():
        found = [str(child) for child in path.iterdir() if child.is_file() and not child.name.startswith((".", "_"))]
    elif path.is_file():
        found = [pattern]
    else:
        found = [name for name in glob.glob(pattern, recursive=True) if Path(name).is_file()]  # noqa: PTH207  Absolute patterns too.
    if not found:
        raise ConfigError(
            "no input file matches",
            where=pattern,
            received=_nearest(path),
            expected="the path of a file or folder, or a glob; quote it, or the shell takes it apart",
        )
    return [os.path.abspath(name) for name in found]  # noqa: PTH100  Links stay: their names are what the user knows.


def _at_url(pattern: str) -> list[str]:
    folder = pattern.rstrip("/")
    for each in (pattern, f"{folder}/*"):
        found = [url for url, file in matching(each).items() if file.size or not url.endswith("/")]
        hidden = (".", "_") if each != pattern else ()
        if found := [url for url in found if not url.rpartition("/")[2].startswith(hidden)]:
            return found
    raise ConfigError(
        "no input file matches",
        where=pattern,
        expected="the URL of a file or folder, or a glob, in which ** stands for any folders",
    )


def _nearest(path: Path) -> str:
    """Return how far the path is there."""
    there = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    count = sum(1 for child in there.iterdir()) if there.is_dir() else 0
    return f"{there} is there, with {count} {'entry' if count == 1 else 'entries'}; nothing in it matches"


def _names(paths: Sequence[str]) -> list[str]:
    """Return what identifies each file: its name, with folders where names are not unique."""
    names = [path.rpartition("/")[2] for path in paths]
    if len(set(names)) == len(names):
        return names
    top = os.path.commonpath(paths)  # Of URLs too: they are compared part by part.
    return [os.path.relpath(path, top) for path in paths]


def _file(path: str, name: str, found: InputFormat) -> InputFile:
    with _readable(path) as stream:
        gzip = stream.read(len(_GZIP)) == _GZIP
        state = state_of(path)
    if state is None:
        raise EnvironmentProblem("an input file is gone", where=path, hint="run again once nobody moves them")
    return InputFile(path, name, found, gzip, *state)


@contextmanager
def _readable(path: str) -> Iterator[BinaryIO]:
    try:
        with open_file(path) as stream:
            yield stream
    except OSError as error:
        raise EnvironmentProblem(f"an input file cannot be read: {error.strerror}", where=path) from error
