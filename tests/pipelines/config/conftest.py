"""A folder to write configurations in, and what `load` says about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from penstock.pipelines.config import ConfigProblems, Loaded, load


class Project:
    """A project folder that is also the working directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str | bytes) -> Path:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return file

    def load(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> Loaded:
        return load(self.write("p.yaml", text), overrides, environ or {})

    def refused(self, text: str | bytes, *overrides: str, environ: Mapping[str, str] | None = None) -> ConfigProblems:
        with pytest.raises(ConfigProblems) as caught:
            self.load(text, *overrides, environ=environ)
        return caught.value


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


Write = Callable[[str, str], Path]
