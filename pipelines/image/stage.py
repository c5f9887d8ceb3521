"""Lays out what a project's image is built from: the Dockerfile, what it installs, and Penstock itself."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import penstock
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.image.dockerfile import STAGED, project_dockerfile, project_ignore
from penstock.pipelines.image.lock import REQUIREMENTS, requirements
from penstock.version import __version__

_SOURCE = "source"
_SETUP = f"""\
[build-system]
requires = ["setuptools", "wheel"]
build-backend = "setuptools.build_meta"

[project]
name = "penstock"
version = "{__version__}"
scripts = {{penstock = "penstock.pipelines.cli:main"}}

[tool.setuptools.packages.find]
include = ["penstock", "penstock.*"]

[tool.setuptools.package-data]
"*" = ["**/*"]
"""


@dataclass(frozen=True)
class Image:
    """What ``docker build`` needs.

    Attributes:
        dockerfile: The Dockerfile, absolute.
        context: The folder that it copies from, absolute.
        tag: The image's name.
        made: Whether the Dockerfile was written now; a checkout of Penstock brings its own.
    """

    dockerfile: Path
    context: Path
    tag: str
    made: bool = True


def stage(project: Path, tag: str, further: Path | None = None) -> Image:
    """Write a project's files for the image below it, in ``.penstock/image``; a whole set or none.

    Args:
        project: The project's folder, absolute.
        tag: The image's name.
        further: The project's own requirements for pip.

    Raises:
        ConfigError: The requirements are not there, or not inside the project.
        EnvironmentProblem: The files cannot be written.
    """
    if is_own_checkout(project):
        if further is not None:
            raise ConfigError(
                "this is Penstock's own checkout, whose image installs the lock alone",
                where=str(project),
                received=f"--requirements {further}",
                hint="make a project of your own: penstock init DIR",
            )
        return Image(project / "Dockerfile", project, tag, made=False)
    named = _inside(project, further) if further is not None else None
    folder = project / STAGED
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".image-", dir=folder.parent) as name:
            staging = Path(name) / folder.name
            _write(staging, project_dockerfile(project.name, named))
            if folder.exists():
                shutil.rmtree(folder)
            os.rename(staging, folder)  # noqa: PTH104  Path.rename has the same meaning and hides the atomic step.
    except OSError as error:
        raise EnvironmentProblem(
            f"the files of the image cannot be written: {error.strerror or error}",
            where=str(error.filename or folder),
            hint="check the owner, the permissions and the free space of the project's folder",
        ) from error
    return Image(folder / "Dockerfile", project, tag)


def is_own_checkout(project: Path) -> bool:
    """Whether a folder is a checkout of Penstock, with a Dockerfile of its own."""
    return (project / "penstock" / "version.py").is_file() and (project / "Dockerfile").is_file()


def _write(folder: Path, dockerfile: str) -> None:
    source = folder / _SOURCE
    package = Path(penstock.__file__).parent
    # What are links in a checkout are folders here.
    shutil.copytree(package, source / "penstock", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    (source / "pyproject.toml").write_text(_SETUP, encoding="utf-8")
    (folder / REQUIREMENTS).write_text(requirements(), encoding="utf-8")
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    # Docker looks for one beside the Dockerfile first; the project's own, if any, is for its own images.
    (folder / "Dockerfile.dockerignore").write_text(project_ignore(), encoding="utf-8")


def _inside(project: Path, further: Path) -> str:
    file = further.absolute()
    if not file.is_file():
        raise ConfigError(
            "the project's requirements are not there", where=str(further), expected="a file for pip install -r"
        )
    if not file.is_relative_to(project) or file.suffix != ".txt":
        raise ConfigError(
            "the project's requirements do not get into the image",
            where=str(further),
            expected=f"a .txt file below {project}",
            hint="docker build sees the project's folder alone",
        )
    return file.relative_to(project).as_posix()
