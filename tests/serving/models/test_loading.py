"""How a version is loaded: tries, damage, turns, and loads that nobody wants any more."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.loader import DamagedModelError
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import (
    PATIENCE,
    FakeLoader,
    Make,
    Recorder,
    answering,
    latest,
    make,
    specific,
    wait_for,
)


class TestLoading:
    def test_a_load_is_tried_again(self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder):
        manager = managed(load_retries=5)
        errors = [ServingError(Code.NOT_FOUND, "not complete yet"), ServingError(Code.UNKNOWN, "nearly")]
        loader.fail("m", 1, *errors)
        manager.reload(latest(base))
        assert recorder.attempts == [("m", 1, errors[0]), ("m", 1, errors[1]), ("m", 1, None)]
        assert recorder.states == ["m 1 START", "m 1 LOADING", "m 1 AVAILABLE"]

    def test_the_last_error_is_told(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed(load_retries=2)
        loader.fail("m", 1, *(ServingError(Code.UNKNOWN, f"attempt {number}") for number in (1, 2, 3)))
        with pytest.raises(ServingError, match="UNKNOWN: attempt 3"):
            manager.reload(latest(base))
        assert len(loader.loads) == 3

    def test_damage_is_final(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed(load_retries=5, retry_seconds=1000)
        loader.fail("m", 1, DamagedModelError(Code.DATA_LOSS, "saved_model.pb has changed"))
        with pytest.raises(ServingError, match=r"DATA_LOSS: saved_model[.]pb has changed"):
            manager.reload(latest(base))
        assert len(loader.loads) == 1

    def test_whatever_else_is_raised_ends_the_load(
        self, managed: Make, base: Path, loader: FakeLoader, caplog: pytest.LogCaptureFixture
    ):
        manager = managed()
        loader.fail("m", 1, MemoryError("no more"))
        with pytest.raises(ServingError, match="INTERNAL: MemoryError: no more"):
            manager.reload(latest(base))
        assert caplog.records[-1].exc_info

    def test_a_retry_ends_when_the_version_is_no_longer_wanted(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed(load_retries=5, retry_seconds=1000)
        manager.reload(latest(base))
        (base / "2").mkdir()
        loader.fail("m", 2, ServingError(Code.NOT_FOUND, "not complete"))
        manager.poll()
        assert recorder.failed.wait(PATIENCE)
        assert answering(manager) == {"m": 1}
        (base / "2").rmdir()
        manager.poll()
        wait_for(manager, "m", v2="END")
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.NOT_FOUND, "not complete")]

    def test_a_load_that_is_no_longer_wanted_is_undone(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(latest(base))
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.poll()
            assert begun()
            (base / "2").rmdir()
            manager.poll()
        wait_for(manager, "m", v2="END")
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.CANCELLED, "Loading of servable cancelled")]
        assert loader.loaded[1].closed.is_set()
        assert answering(manager) == {"m": 1}

    def test_so_many_at_a_time(self, managed: Make, tmp_path: Path, loader: FakeLoader):
        base = make(tmp_path / "many", *range(1, 6))
        manager = managed(load_threads=2)
        with loader.held("many", 5) as first, loader.held("many", 4) as second:
            thread = threading.Thread(
                target=manager.reload, args=([ModelEntry("many", str(base), policy=VersionPolicy("all"))],)
            )
            thread.start()
            # The highest two are loaded first, and nothing else beside them.
            assert first()
            assert second()
            assert sorted(loader.loads) == [("many", 4, "4"), ("many", 5, "5")]
        wait_for(manager, "many", v1="AVAILABLE", v2="AVAILABLE", v3="AVAILABLE", v4="AVAILABLE", v5="AVAILABLE")
        thread.join(PATIENCE)

    def test_a_load_that_hangs_and_is_not_wanted_any_more_lets_the_next_begin(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed(load_threads=1)
        manager.reload(latest(base))
        make(base, 2, 3)
        with loader.held("m", 2) as begun:
            manager.reload(specific(base, 1, 2))
            assert begun()
            manager.reload(specific(base, 1, 3))
            wait_for(manager, "m", v2="LOADING", v3="AVAILABLE")
        wait_for(manager, "m", v2="END")
        assert answering(manager) == {"m": 3}

    def test_a_load_that_waits_for_its_turn_and_is_not_wanted_any_more_never_begins(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed(load_threads=1)
        manager.reload(latest(base))
        make(base, 2, 3)
        with loader.held("m", 3) as begun:
            manager.reload(specific(base, 1, 2, 3))
            assert begun()
            wait_for(manager, "m", v2="LOADING")
            manager.reload(specific(base, 1, 3))
            wait_for(manager, "m", v2="END", v3="LOADING")
        wait_for(manager, "m", v3="AVAILABLE")
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.CANCELLED, "Loading of servable cancelled")]
        assert [load[1] for load in loader.loads] == [1, 3]
