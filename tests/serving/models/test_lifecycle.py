"""How the versions that are loaded become those that are wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import (
    FakeLoader,
    Make,
    Recorder,
    answering,
    latest,
    specific,
    states,
    wait_for,
)


class TestTransitions:
    def test_availability_is_preserved(self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder):
        manager = managed()
        manager.reload(latest(base))
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.poll()
            assert begun()
            assert answering(manager) == {"m": 1}
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        assert answering(manager) == {"m": 2}
        assert recorder.states == [
            *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
            *("m 2 START", "m 2 LOADING", "m 2 AVAILABLE"),
            *("m 1 UNLOADING", "m 1 END"),
        ]
        assert loader.loaded[0].closed.is_set()

    def test_resources_are_preserved(self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder):
        manager = managed(transition="resource_preserving")
        manager.reload(latest(base))
        (base / "2").mkdir()
        with manager.use("m"):
            manager.poll()
            wait_for(manager, "m", v1="UNLOADING")
            assert states(manager, "m") == {1: State.UNLOADING, 2: State.START}
            assert answering(manager) == {"m": None}
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        assert recorder.states == [
            *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
            *("m 2 START", "m 1 UNLOADING", "m 1 END"),
            *("m 2 LOADING", "m 2 AVAILABLE"),
        ]

    def test_a_new_version_that_fails_leaves_the_old_one(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(latest(base))
        (base / "2").mkdir()
        loader.fail("m", 2, ServingError(Code.DATA_LOSS, "damaged"))
        manager.poll()
        wait_for(manager, "m", v2="END")
        assert manager.status("m") == [
            VersionStatus(2, State.END, Code.DATA_LOSS, "damaged"),
            VersionStatus(1, State.AVAILABLE),
        ]
        assert answering(manager) == {"m": 1}

    def test_a_version_that_failed_is_not_loaded_at_every_poll(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        loader.fail("m", 1, ServingError(Code.UNKNOWN, "broken"))
        with pytest.raises(ServingError, match="did not become available"):
            manager.reload(latest(base))
        manager.poll()
        manager.poll()
        assert loader.loads == [("m", 1, "1")]

    def test_a_version_that_failed_is_loaded_again_once_it_was_away(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed()
        loader.fail("m", 1, ServingError(Code.UNKNOWN, "broken"))
        with pytest.raises(ServingError, match="did not become available"):
            manager.reload(latest(base))
        (base / "1").rmdir()
        manager.poll()
        (base / "1").mkdir()
        manager.poll()
        wait_for(manager, "m", v1="AVAILABLE")

    def test_a_rollback_loads_the_old_version_before_the_new_one_goes(
        self, managed: Make, base: Path, recorder: Recorder
    ):
        manager = managed()
        (base / "2").mkdir()
        manager.reload(latest(base))
        manager.reload(specific(base, 1))
        wait_for(manager, "m", v1="AVAILABLE", v2="END")
        assert recorder.states[3:] == [
            *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
            *("m 2 UNLOADING", "m 2 END"),
        ]

    def test_a_rollback_while_the_new_version_loads_keeps_the_old_one(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed()
        manager.reload(latest(base))
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.poll()
            assert begun()
            manager.reload(specific(base, 1))
        wait_for(manager, "m", v2="END")
        assert recorder.states == [
            *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
            *("m 2 START", "m 2 LOADING", "m 2 END CANCELLED"),
        ]
        assert answering(manager) == {"m": 1}

    def test_a_version_that_is_wanted_again_while_it_unloads_is_loaded_anew(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed()
        (base / "2").mkdir()
        manager.reload(specific(base, 1, 2))
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        with manager.use("m", version=1):
            manager.reload(specific(base, 2))
            wait_for(manager, "m", v1="UNLOADING")
            manager.reload(specific(base, 1, 2))
            assert states(manager, "m") == {1: State.UNLOADING, 2: State.AVAILABLE}
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        assert [load[1] for load in loader.loads].count(1) == 2

    def test_a_new_version_that_is_no_longer_wanted_ends_unloaded(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed(transition="resource_preserving")
        manager.reload(latest(base))
        (base / "2").mkdir()
        with manager.use("m"):
            manager.poll()
            wait_for(manager, "m", v1="UNLOADING")
            (base / "2").rmdir()
            (base / "3").mkdir()
            manager.poll()
            wait_for(manager, "m", v2="END", v3="START")
        wait_for(manager, "m", v3="AVAILABLE")
        assert [load[1] for load in loader.loads] == [1, 3]
