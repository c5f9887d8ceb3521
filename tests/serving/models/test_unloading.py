"""How a version goes: requests that hold it, and the end of the manager."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from penstock.serving.errors import ServingError
from penstock.serving.models import lifecycle as module
from penstock.serving.models.state import State
from tests.serving.models.fakes import (
    PATIENCE,
    FakeLoader,
    FakeServable,
    Make,
    latest,
    states,
    wait_for,
)


class TestUnloading:
    def test_a_version_in_use_stays_loaded(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(latest(base))
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
        manager.reload(latest(base))
        with manager.use("m"):
            manager.reload([])
            wait_for(manager, "m", v1="END")
            assert loader.loaded[0].closed.is_set()
        assert "version 1 of m is unloaded while requests still run" in caplog.text

    def test_closing_waits_for_requests(self, managed: Make, base: Path, loader: FakeLoader):
        manager = managed()
        manager.reload(latest(base))
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
        manager.reload(latest(base))
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
        manager.reload(latest(base))
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
        manager.reload(latest(base))
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
