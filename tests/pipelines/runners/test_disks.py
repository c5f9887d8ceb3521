"""A full disk is told as such, whatever it broke, and which one it is."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.runners.disks import FULL_BYTES, with_full_disk

ERROR = PenstockError("InternalError: cannot commit - no transaction is active")


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Folder's name → bytes that are free there; much where none is given."""
    left: dict[str, int] = {}

    def usage(folder: Path) -> SimpleNamespace:
        return SimpleNamespace(free=left.get(folder.name, 1 << 40))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    return left


@pytest.fixture
def places(tmp_path: Path) -> dict[str, Path]:
    found = {"the root": tmp_path / "root", "the metadata store": tmp_path / "store"}
    for folder in found.values():
        folder.mkdir()
    return found


@pytest.mark.parametrize(("folder", "name"), [("root", "the root"), ("store", "the metadata store")])
def test_the_full_one_is_named_with_what_it_broke(places, free, folder, name):
    free[folder] = FULL_BYTES - 1
    assert str(with_full_disk(ERROR, places)) == (
        f"{places[name]}: no space is left on the disk of {name}\n"
        "  received: InternalError: cannot commit - no transaction is active\n"
        "  next: free some space and run again: finished steps are kept"
    )


def test_what_it_broke_is_told_in_full(places, free):
    free["root"] = 0
    told = with_full_disk(PenstockError("the log cannot be written", received="ValueError: no such column"), places)
    assert told.received == "the log cannot be written: ValueError: no such column"


def test_with_space_the_error_stays(places, free):
    free["root"] = FULL_BYTES
    assert with_full_disk(ERROR, places) is ERROR


def test_a_wrong_config_stays_one(places, free):
    free["root"] = 0
    error = ConfigError("unknown key")
    assert with_full_disk(error, places) is error


def test_a_folder_that_is_not_made_yet_is_left_out(tmp_path, free):
    free["later"] = 0
    assert with_full_disk(ERROR, {"the metadata store": tmp_path / "later"}) is ERROR
