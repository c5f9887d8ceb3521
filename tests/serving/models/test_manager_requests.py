"""Requests, states and polling; the config and the labels are in test_manager.py."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import (
    PATIENCE,
    FakeLoader,
    answering,
    entry_of,
    make,
    states,
    wait_for,
)


class TestUse:
    @pytest.mark.parametrize(
        ("asked", "code", "message"),
        [
            (("x", None, None), Code.NOT_FOUND, "Servable not found for request: Latest(x)"),
            (("x", 3, None), Code.NOT_FOUND, "Servable not found for request: Specific(x, 3)"),
            (("m", 3, None), Code.NOT_FOUND, "Servable not found for request: Specific(m, 3)"),
            (("m", None, "no"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: no"),
            (("m", None, ""), Code.INVALID_ARGUMENT, "Unrecognized servable version label: "),
            (("", None, None), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ],
    )
    def test_what_is_not_there(
        self,
        manager: ModelManager,
        tmp_path: Path,
        asked: tuple[str, int | None, str | None],
        code: Code,
        message: str,
    ):
        manager.reload([entry_of(make(tmp_path / "m", 1))])
        name, version, label = asked
        with pytest.raises(ServingError) as caught, manager.use(name, version=version, label=label):
            pass
        assert (caught.value.code, caught.value.message) == (code, message)

    def test_the_newest_answers_unless_another_is_asked_for(self, manager: ModelManager, tmp_path: Path):
        manager.reload([entry_of(make(tmp_path / "m", 9, 10, 2), 9, 10, 2)])
        wait_for(manager, "m", v2="AVAILABLE", v9="AVAILABLE", v10="AVAILABLE")
        with manager.use("m") as newest, manager.use("m", version=9) as asked:
            assert (newest.version, asked.version) == (10, 9)

    def test_an_error_in_the_block_ends_the_use(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        manager.reload([entry_of(make(tmp_path / "m", 1))])
        with pytest.raises(ZeroDivisionError), manager.use("m"):
            _ = 1 // 0
        manager.reload([])
        assert loader.loaded[0].closed.wait(PATIENCE)


class TestStatus:
    def test_newest_first_with_its_error(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        loader.fail("m", 2, ServingError(Code.DATA_LOSS, "damaged"))
        manager.reload([entry_of(make(tmp_path / "m", 1, 2, 10), 1, 2, 10)])
        wait_for(manager, "m", v1="AVAILABLE", v2="END", v10="AVAILABLE")
        assert manager.status("m") == [
            VersionStatus(10, State.AVAILABLE),
            VersionStatus(2, State.END, Code.DATA_LOSS, "damaged"),
            VersionStatus(1, State.AVAILABLE),
        ]
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.DATA_LOSS, "damaged")]

    @pytest.mark.parametrize(
        ("version", "message"),
        [(None, "Could not find any versions of model x"), (4, "Could not find version 4 of model x")],
    )
    def test_what_never_was(self, manager: ModelManager, version: int | None, message: str):
        with pytest.raises(ServingError) as caught:
            manager.status("x", version)
        assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, message)


class TestPolling:
    def test_a_thread_finds_new_versions(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base)])
        manager.start()
        (base / "2").mkdir()
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        manager.close(PATIENCE)
        assert states(manager, "m") == {1: State.END, 2: State.END}

    def test_removing_the_last_version_unserves_the_model(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base)])
        (base / "1").rmdir()
        manager.poll()
        wait_for(manager, "m", v1="END")
        assert answering(manager) == {"m": None}

    def test_a_base_path_without_versions_is_told_once(
        self, manager: ModelManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base)])
        (base / "1").rename(base / "staged")
        manager.poll()
        manager.poll()
        (base / "staged").rename(base / "1")
        manager.poll()
        (base / "1").rename(base / "staged")
        manager.poll()
        told = (
            f"No versions of servable m found under base path {base}. Did you forget to name your leaf directory as a "
            "number (eg. '/1/')?"
        )
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == [told, told]

    def test_a_base_path_that_is_unreadable_spoils_the_poll_for_all(self, manager: ModelManager, tmp_path: Path):
        bases = [make(tmp_path / "m", 1), make(tmp_path / "n", 1)]
        manager.reload([entry_of(base) for base in bases])
        (bases[0] / "2").mkdir()
        shutil.rmtree(bases[1])
        with pytest.raises(ServingError) as caught:
            manager.poll()
        assert caught.value.message == (
            f"Could not find base path {bases[1]} for servable n with error NOT_FOUND: {bases[1]} not found"
        )
        assert answering(manager, ("m", "n")) == {"m": 1, "n": 1}
        assert states(manager, "m") == {1: State.AVAILABLE}

    def test_the_same_complaint_is_logged_once(
        self, manager: ModelManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base)])
        base.rename(tmp_path / "away")
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                manager.reload([entry_of(base)])
        assert [record.getMessage() for record in caplog.records] == [
            (
                f"cannot look for versions: Could not find base path {base} for servable m with error NOT_FOUND: "
                f"{base} not found"
            ),
        ]

    def test_no_polling_when_it_is_off(self, manager: ModelManager):
        before = set(threading.enumerate())
        manager.start()
        assert set(threading.enumerate()) <= before
