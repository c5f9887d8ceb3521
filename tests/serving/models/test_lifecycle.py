"""How the versions that are loaded become those that are wanted."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models import lifecycle as module
from penstock.serving.models.loader import DamagedModelError
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import PATIENCE, FakeLoader, FakeServable, Recorder, answering, make, states, wait_for

OPTIONS = ManagerOptions(poll_seconds=0, load_retries=0, retry_seconds=-1)
Make = Callable[..., ModelManager]


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def managed(loader: FakeLoader, recorder: Recorder) -> Iterator[Make]:
    """A function that makes a manager with some options changed."""
    managers: list[ModelManager] = []

    def make_manager(**changes: object) -> ModelManager:
        managers.append(ModelManager(dataclasses.replace(OPTIONS, **changes), loader, recorder))  # type: ignore[arg-type]
        return managers[-1]

    yield make_manager
    for manager in managers:
        manager.close(PATIENCE)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make(tmp_path / "m", 1)


def _latest(base: Path) -> list[ModelEntry]:
    return [ModelEntry("m", str(base))]


def _specific(base: Path, *versions: int) -> list[ModelEntry]:
    return [ModelEntry("m", str(base), policy=VersionPolicy("specific", versions=versions))]


class TestTransitions:
    def test_availability_is_preserved(self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder):
        manager = managed()
        manager.reload(_latest(base))
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
        manager.reload(_latest(base))
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
        manager.reload(_latest(base))
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
            manager.reload(_latest(base))
        manager.poll()
        manager.poll()
        assert loader.loads == [("m", 1, "1")]

    def test_a_version_that_failed_is_loaded_again_once_it_was_away(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed()
        loader.fail("m", 1, ServingError(Code.UNKNOWN, "broken"))
        with pytest.raises(ServingError, match="did not become available"):
            manager.reload(_latest(base))
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
        manager.reload(_latest(base))
        manager.reload(_specific(base, 1))
        wait_for(manager, "m", v1="AVAILABLE", v2="END")
        assert recorder.states[3:] == [
            *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
            *("m 2 UNLOADING", "m 2 END"),
        ]

    def test_a_rollback_while_the_new_version_loads_keeps_the_old_one(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed()
        manager.reload(_latest(base))
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.poll()
            assert begun()
            manager.reload(_specific(base, 1))
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
        manager.reload(_specific(base, 1, 2))
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        with manager.use("m", version=1):
            manager.reload(_specific(base, 2))
            wait_for(manager, "m", v1="UNLOADING")
            manager.reload(_specific(base, 1, 2))
            assert states(manager, "m") == {1: State.UNLOADING, 2: State.AVAILABLE}
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        assert [load[1] for load in loader.loads].count(1) == 2

    def test_a_new_version_that_is_no_longer_wanted_ends_unloaded(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed(transition="resource_preserving")
        manager.reload(_latest(base))
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


class TestLoading:
    def test_a_load_is_tried_again(self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder):
        manager = managed(load_retries=5)
        errors = [ServingError(Code.NOT_FOUND, "not complete yet"), ServingError(Code.UNKNOWN, "nearly")]
        loader.fail("m", 1, *errors)
        manager.reload(_latest(base))
        assert recorder.attempts == [("m", 1, errors[0]), ("m", 1, errors[1]), ("m", 1, None)]
        assert recorder.states == ["m 1 START", "m 1 LOADING", "m 1 AVAILABLE"]

    def test_the_last_error_is_told(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed(load_retries=2)
        loader.fail("m", 1, *(ServingError(Code.UNKNOWN, f"attempt {number}") for number in (1, 2, 3)))
        with pytest.raises(ServingError, match="UNKNOWN: attempt 3"):
            manager.reload(_latest(base))
        assert len(loader.loads) == 3

    def test_damage_is_final(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed(load_retries=5, retry_seconds=1000)
        loader.fail("m", 1, DamagedModelError(Code.DATA_LOSS, "saved_model.pb has changed"))
        with pytest.raises(ServingError, match=r"DATA_LOSS: saved_model[.]pb has changed"):
            manager.reload(_latest(base))
        assert len(loader.loads) == 1

    def test_whatever_else_is_raised_ends_the_load(
        self, managed: Make, base: Path, loader: FakeLoader, caplog: pytest.LogCaptureFixture
    ):
        manager = managed()
        loader.fail("m", 1, MemoryError("no more"))
        with pytest.raises(ServingError, match="INTERNAL: MemoryError: no more"):
            manager.reload(_latest(base))
        assert caplog.records[-1].exc_info

    def test_a_retry_ends_when_the_version_is_no_longer_wanted(
        self, managed: Make, base: Path, loader: FakeLoader, recorder: Recorder
    ):
        manager = managed(load_retries=5, retry_seconds=1000)
        manager.reload(_latest(base))
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
        manager.reload(_latest(base))
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
        manager.reload(_latest(base))
        make(base, 2, 3)
        with loader.held("m", 2) as begun:
            manager.reload(_specific(base, 1, 2))
            assert begun()
            manager.reload(_specific(base, 1, 3))
            wait_for(manager, "m", v2="LOADING", v3="AVAILABLE")
        wait_for(manager, "m", v2="END")
        assert answering(manager) == {"m": 3}

    def test_a_load_that_waits_for_its_turn_and_is_not_wanted_any_more_never_begins(
        self, managed: Make, base: Path, loader: FakeLoader
    ):
        manager = managed(load_threads=1)
        manager.reload(_latest(base))
        make(base, 2, 3)
        with loader.held("m", 3) as begun:
            manager.reload(_specific(base, 1, 2, 3))
            assert begun()
            wait_for(manager, "m", v2="LOADING")
            manager.reload(_specific(base, 1, 3))
            wait_for(manager, "m", v2="END", v3="LOADING")
        wait_for(manager, "m", v3="AVAILABLE")
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.CANCELLED, "Loading of servable cancelled")]
        assert [load[1] for load in loader.loads] == [1, 3]


class TestUnloading:
    def test_a_version_in_use_stays_loaded(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(_latest(base))
        (base / "2").mkdir()
        with manager.use("m", version=1):
            manager.poll()
            wait_for(manager, "m", v1="UNLOADING", v2="AVAILABLE")
            assert not loader.loaded[0].closed.is_set()
            with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 1\)"):
                manager.use("m", version=1).__enter__()
        wait_for(manager, "m", v1="END")
        assert loader.loaded[0].closed.is_set()

    def test_an_unload_waits_no_longer_than_it_may(
        self, managed: Make, base: Path, loader: FakeLoader, caplog: pytest.LogCaptureFixture
    ):
        manager = managed(drain_seconds=0.0)
        manager.reload(_latest(base))
        with manager.use("m"):
            manager.reload([])
            wait_for(manager, "m", v1="END")
            assert loader.loaded[0].closed.is_set()
        assert "version 1 of m is unloaded while requests still run" in caplog.text

    def test_closing_waits_for_requests(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(_latest(base))
        use = manager.use("m")
        use.__enter__()
        thread = threading.Thread(target=manager.close, args=(PATIENCE,))
        thread.start()
        wait_for(manager, "m", v1="UNLOADING")
        assert not loader.loaded[0].closed.is_set()
        use.__exit__(None, None, None)
        thread.join(PATIENCE)
        assert states(manager, "m") == {1: State.END}

    def test_closing_waits_no_longer_than_it_may(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(_latest(base))
        with manager.use("m"):
            manager.close(0.0)
            assert loader.loaded[0].closed.is_set()

    def test_closing_leaves_behind_what_tensorflow_does_not_let_go(
        self,
        managed: Make,
        base: Path,
        loader: FakeLoader,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ):
        manager = managed()
        manager.reload(_latest(base))
        go_on, ended = threading.Event(), threading.Event()

        def hang(servable: FakeServable) -> None:
            assert go_on.wait(PATIENCE)
            ended.set()

        monkeypatch.setattr(FakeServable, "close", hang)
        monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.01)
        with manager.use("m"):
            manager.close(0.0)
        assert caplog.messages[-1] == "version 1 of m is left behind: requests still run in it"
        go_on.set()
        assert ended.wait(PATIENCE)

    def test_no_request_fails_while_versions_come_and_go(self, managed: Make, base: Path):
        manager = managed()
        manager.reload(_latest(base))
        stop, answered = threading.Event(), 0
        failures: list[object] = []

        def ask() -> None:
            nonlocal answered
            while not stop.is_set():
                try:
                    with manager.use("m") as servable:
                        assert isinstance(servable, FakeServable)
                        if servable.closed.is_set():
                            failures.append(servable.version)
                    answered += 1
                except ServingError as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for version in range(2, 30):
            (base / str(version)).mkdir()
            manager.poll()
            wait_for(manager, "m", **{f"v{version}": "AVAILABLE", f"v{version - 1}": "END"})
        stop.set()
        for thread in threads:
            thread.join(PATIENCE)
        assert failures == []
        assert answered
