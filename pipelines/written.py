"""Files that a person asked for: what the system refuses while one is written is told as an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import EnvironmentProblem
from penstock.paths import shown_path


@contextmanager
def written(file: Path, what: str) -> Iterator[None]:
    """Write a file in the block.

    Args:
        file: The file, named with ``-o``.
        what: What it is, as the subject of a sentence, such as ``the report``.

    Raises:
        EnvironmentProblem: It cannot be written.
    """
    try:
        if file.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"{what} cannot be written: {error.strerror or error}",
            where=shown_path(file),
            expected="a file in a folder that is there and can be written",
            hint="name another file with -o",
        ) from error
