"""A folder for the temporary files of a run: what a killed process leaves there goes with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

from penstock.errors import EnvironmentProblem


@contextmanager
def temporary_folder() -> Iterator[str]:
    """Make a folder, for ``TMPDIR`` of all that the block starts, and remove it at the end.

    What cannot be removed stays: the system's folder for temporary files is where it lies.

    Raises:
        EnvironmentProblem: It cannot be made.
    """
    try:
        folder = TemporaryDirectory(prefix="penstock-", ignore_cleanup_errors=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"there is no folder for temporary files: {error.strerror or error}",
            where=os.environ.get("TMPDIR", "/tmp"),  # noqa: S108  The one that is asked for, not one that is made.
            hint="name one that can be written in TMPDIR",
        ) from error
    with folder as name:
        yield name
