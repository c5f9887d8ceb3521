"""A folder to write configurations in, and what `load` says about them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from penstock.pipelines.config import ConfigProblems, Loaded, Problem, load


class Project:
    """A project folder that is also the working directory."""

    HEAD = "pipeline: digits\nroot: runs/digits\n"
    STEPS = "steps: {trainer: {component: Trainer}}\n"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> Path:
        """Write a file below the folder."""
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return file

    def load(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> Loaded:
        """Load a text as ``p.yaml``, by default with an empty environment."""
        return load(self.write("p.yaml", text), overrides, environ or {})

    def refused(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> ConfigProblems:
        """Return the error that a text makes."""
        with pytest.raises(ConfigProblems) as caught:
            self.load(text, *overrides, environ=environ)
        return caught.value

    def only(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> Problem:
        """Return the one problem of a text."""
        (problem,) = self.refused(text, *overrides, environ=environ).problems
        return problem

    def shown(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> str:
        """Return the one problem of a text as the user sees it."""
        return str(self.only(text, *overrides, environ=environ))


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """An empty project in the working directory."""
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)
