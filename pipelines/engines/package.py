"""A setup file for Beam's workers elsewhere: Penstock's code, the project's, and the libraries as they are here."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import penstock
from penstock.pipelines.static_import import project_modules

_SKIPPED = ("__pycache__", "*.pyc", ".*")
_NOT_SHIPPED = {"penstock", "pip", "setuptools", "wheel"}
_SETUP = '''\
"""Written by Penstock: what Beam installs on a worker before it starts. See Beam's --setup_file."""

import os
import subprocess
import sys

from setuptools import setup
from setuptools.command.build import build


class Build(build):
    """Installs the libraries of the machine that has submitted the job, each in the same version."""

    def run(self):
        if os.path.getsize("requirements.txt"):
            # pip hides itself and what is installed from what it builds; the libraries are for the worker's own Python.
            environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            install = ["-m", "pip", "install", "--no-deps", "--no-cache-dir", "--disable-pip-version-check"]
            subprocess.check_call([sys.executable, *install, "-r", "requirements.txt"], env=environment)
        super().run()


setup(
    name="penstock-workers",
    version="%(version)s",
    packages=%(packages)r,
    py_modules=%(modules)r,
    include_package_data=True,
    cmdclass={"build": Build},
)
'''
_MANIFEST = "include requirements.txt\nrecursive-include penstock *.json py.typed\n"


def write(folder: Path, functions: Sequence[str], project: Path, *, libraries: bool) -> Path:
    """Write a source tree with a ``setup.py`` that Beam can package, and return that file.

    Args:
        folder: An empty folder.
        functions: Import paths of user code that goes along, with what it imports from the project.
        project: The folder that user modules are relative to.
        libraries: Whether a worker installs the libraries, too; an image has them already.
    """
    shutil.copytree(Path(penstock.__file__).parent, folder / "penstock", ignore=shutil.ignore_patterns(*_SKIPPED))
    _copy_project(folder, functions, project)
    requirements = "".join(f"{line}\n" for line in sorted(_installed())) if libraries else ""
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    (folder / "MANIFEST.in").write_text(_MANIFEST, encoding="utf-8")
    parts = {
        "version": penstock.__version__,
        "packages": _packages(folder),
        "modules": sorted(file.stem for file in folder.glob("*.py")),
    }
    setup = folder / "setup.py"
    setup.write_text(_SETUP % parts, encoding="utf-8")
    return setup


def _copy_project(folder: Path, functions: Sequence[str], project: Path) -> None:
    """Copy the modules of the project that are used, each at its place."""
    for module, file in project_modules(functions, project).items():
        if module.partition(".")[0] == "penstock":
            continue
        target = folder / file.relative_to(project)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def _packages(folder: Path) -> list[str]:
    """Return every folder with Python files below, as a package; one without ``__init__.py`` is one, too."""
    holders = {file.parent.relative_to(folder) for file in folder.rglob("*.py")}
    folders = {path for holder in holders for path in (holder, *holder.parents)} - {Path()}
    return sorted(".".join(path.parts) for path in folders)


def _installed() -> Iterator[str]:
    """Yield ``name==version`` of what is installed here, without what no package index has."""
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        if name.lower() not in _NOT_SHIPPED and distribution.read_text("direct_url.json") is None:
            yield f"{name}=={distribution.version}"
