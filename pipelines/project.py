"""A new project, from the template that ships with Penstock."""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.resources import as_file, files
from pathlib import Path

from penstock.errors import ConfigError, EnvironmentProblem


def create(directory: Path) -> list[str]:
    """Copy the template to ``directory``: whole, or not at all.

    Returns:
        The names of the files and folders made, sorted.

    Raises:
        ConfigError: The directory exists and is not empty, or is a file.
        EnvironmentProblem: It cannot be written.
    """
    if directory.exists() and not directory.is_dir():
        raise ConfigError("there is a file of that name", where=str(directory), hint="name another folder")
    if directory.is_dir() and any(directory.iterdir()):
        raise ConfigError(
            "the folder is not empty; nothing was written", where=str(directory), hint="name a new folder"
        )
    try:
        directory.absolute().parent.mkdir(parents=True, exist_ok=True)
        with as_file(files("penstock.pipelines") / "template") as template:
            _copy(template, directory.absolute())
    except OSError as error:
        raise EnvironmentProblem(
            f"the project cannot be written: {error.strerror or error}", where=str(directory)
        ) from error
    return sorted(path.name for path in directory.iterdir())


def _copy(template: Path, directory: Path) -> None:
    staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    try:
        project = staging / directory.name
        shutil.copytree(template, project, ignore=shutil.ignore_patterns("__pycache__"))
        os.rename(project, directory)  # noqa: PTH104  Path.rename has the same meaning and hides the atomic step.
    finally:
        shutil.rmtree(staging)
