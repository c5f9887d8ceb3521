"""The input files of a run: what the patterns match, what each holds, and what its rows are called by."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from penstock.components.batch_inference.shards import InputFile
from penstock.components.batch_inference.words import InputFormat
from penstock.errors import ConfigError, EnvironmentProblem

_GZIP = b"\x1f\x8b"
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
        wanted: What they hold; None: what their names say.

    Raises:
        ConfigError: Nothing matches, the format cannot be told, or the files are of several formats.
        EnvironmentProblem: A file cannot be read.
    """
    paths = sorted({path for pattern in patterns for path in _matching(pattern)})
    formats = {path: wanted or format_of(path) for path in paths}
    unknown = [path for path, found in formats.items() if found is None]
    if unknown:
        raise ConfigError(
            "what the file holds cannot be told from its name",
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


def _matching(pattern: str) -> list[str]:
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


def _nearest(path: Path) -> str:
    """Return how far the path is there."""
    there = next((parent for parent in path.absolute().parents if parent.exists()), Path("/"))
    count = sum(1 for child in there.iterdir()) if there.is_dir() else 0
    return f"{there} is there, with {count} {'entry' if count == 1 else 'entries'}; nothing in it matches"


def _names(paths: Sequence[str]) -> list[str]:
    """Return what identifies each file: its name, with folders where names are not unique."""
    names = [Path(path).name for path in paths]
    if len(set(names)) == len(names):
        return names
    top = os.path.commonpath(paths)
    return [os.path.relpath(path, top) for path in paths]


def _file(path: str, name: str, found: InputFormat) -> InputFile:
    try:
        with Path(path).open("rb") as stream:
            gzip = stream.read(2) == _GZIP
        stat = Path(path).stat()
    except OSError as error:
        raise EnvironmentProblem(f"an input file cannot be read: {error.strerror}", where=path) from error
    return InputFile(path, name, found, gzip, stat.st_size, stat.st_mtime_ns)
