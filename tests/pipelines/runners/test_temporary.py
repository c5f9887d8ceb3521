"""The folder for a run's temporary files."""

import tempfile
from pathlib import Path

import pytest

from penstock.errors import EnvironmentProblem
from penstock.pipelines.runners.temporary import temporary_folder


def test_what_is_left_in_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with temporary_folder() as name:
        assert Path(name).parent == tmp_path
        (Path(name) / "left").mkdir()
        (Path(name) / "left/file").touch()
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_made(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(EnvironmentProblem) as raised, temporary_folder():
        pass
    assert str(raised.value) == (
        f"{tmp_path}/none: there is no folder for temporary files: No such file or directory\n"
        "  next: name one that can be written in TMPDIR"
    )
