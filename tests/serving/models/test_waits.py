"""What happens at the same time: reloads that wait, labels that move while they are read, looks that overtake."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models import manager as module
from penstock.serving.models.handle import Handle
from penstock.serving.models.labels import labels_of
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.polling import look
from penstock.serving.models.state import State
from tests.serving.models.fakes import PATIENCE, FakeLoader, answering, make, states, wait_for

OPTIONS = ManagerOptions(load_retries=0, poll_seconds=0)


@pytest.fixture
def manager(loader: FakeLoader) -> Iterator[ModelManager]:
    manager = ModelManager(OPTIONS, loader)
    yield manager
    manager.close(PATIENCE)


@pytest.fixture
def start(manager: ModelManager) -> Iterator[Callable[..., Future[None]]]:
    """A function that reloads in a thread of its own and returns once the new config is there."""
    with ThreadPoolExecutor() as threads:

        def reload(*entries: ModelEntry) -> Future[None]:
            revision = manager.revision
            future = threads.submit(manager.reload, entries)
            assert manager.wait_until(lambda: manager.revision > revision, PATIENCE)
            return future

        yield reload
        manager.end_waits()


def _entry(base: Path, *versions: int, **labels: int) -> ModelEntry:
    policy = VersionPolicy("specific", versions=versions) if versions else VersionPolicy()
    return ModelEntry(base.name, str(base), policy=policy, labels=labels)


def _error(future: Future[None]) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        future.result(PATIENCE)
    return caught.value.code, caught.value.message


class TestReloads:
    def test_a_model_that_never_loads_keeps_nobody_else_waiting(
        self, manager: ModelManager, start: Callable[..., Future[None]], tmp_path: Path
    ):
        never, other = make(tmp_path / "never"), make(tmp_path / "other", 1)
        waiting = start(_entry(never))
        manager.reload([_entry(never), _entry(other)])
        assert answering(manager, ("never", "other")) == {"never": None, "other": 1}
        assert not waiting.done()

    def test_a_rollback_ends_what_waits_for_what_it_takes_away(
        self, manager: ModelManager, start: Callable[..., Future[None]], tmp_path: Path
    ):
        old = make(tmp_path / "m", 1)
        manager.reload([_entry(old)])
        waiting = start(_entry(old), _entry(make(tmp_path / "never")))
        manager.reload([_entry(old)])
        assert _error(waiting) == (Code.ABORTED, "Another config was loaded before never became available")

    @pytest.mark.parametrize(
        ("asked", "then", "ends"),
        [
            ((1,), (1, 2), False),
            ((1, 2), (2,), False),
            ((1,), (2,), True),
            ((1,), (), False),
            ((), (1,), False),
        ],
    )
    def test_other_versions_end_it_unless_they_may_be_the_same(
        self,
        manager: ModelManager,
        start: Callable[..., Future[None]],
        tmp_path: Path,
        asked: tuple[int, ...],
        then: tuple[int, ...],
        *,
        ends: bool,
    ):
        base = make(tmp_path / "m")
        waiting = start(_entry(base, *asked))
        # It has looked before there is anything to be seen.
        start(_entry(base, *then)).result(PATIENCE)
        if ends:
            assert _error(waiting) == (Code.ABORTED, "Another config was loaded before m became available")
        else:
            make(base, 1, 2)
            manager.poll()
            waiting.result(PATIENCE)

    def test_another_base_path_ends_it(self, start: Callable[..., Future[None]], tmp_path: Path):
        waiting = start(_entry(make(tmp_path / "m")))
        make(tmp_path / "elsewhere", 1)
        start(ModelEntry("m", str(tmp_path / "elsewhere")))
        assert _error(waiting)[0] is Code.ABORTED

    def test_a_version_that_a_newer_one_replaces_before_it_is_loaded_is_no_failure(
        self, manager: ModelManager, loader: FakeLoader, start: Callable[..., Future[None]], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1)
        with loader.held("m", 1) as begun:
            waiting = start(_entry(base))
            assert begun()
            make(base, 2)
            manager.poll()
            waiting.result(PATIENCE)
        wait_for(manager, "m", v1="END", v2="AVAILABLE")

    def test_the_same_config_again_waits_for_nothing_and_ends_nothing(
        self, manager: ModelManager, start: Callable[..., Future[None]], tmp_path: Path
    ):
        base = make(tmp_path / "m")
        waiting = start(_entry(base))
        manager.reload([_entry(base)])
        make(base, 1)
        manager.poll()
        waiting.result(PATIENCE)

    def test_a_stop_ends_every_wait_and_takes_no_config(
        self, manager: ModelManager, start: Callable[..., Future[None]], tmp_path: Path
    ):
        down = (Code.UNAVAILABLE, "The server is shutting down")
        waiting = start(_entry(make(tmp_path / "m")))
        manager.end_waits()
        assert _error(waiting) == down
        with pytest.raises(ServingError) as caught:
            manager.reload([])
        assert (caught.value.code, caught.value.message) == down
        assert manager.names() == ["m"]


class TestLabels:
    @pytest.fixture
    def acquired(self, manager: ModelManager, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """A function that does something whenever a version is about to be acquired: another thread's work."""

        def before(work: Callable[[], None]) -> None:
            acquire = manager._life.acquire

            def after_it(name: str, version: int | None) -> Handle:
                work()
                return acquire(name, version)

            monkeypatch.setattr(manager._life, "acquire", after_it)

        return before

    def test_a_label_that_moves_while_it_is_read_is_followed(
        self, manager: ModelManager, acquired: Callable[..., None], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1, 2)])
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        manager.reload([_entry(base, 1, 2, stable=1)])
        todo = [lambda: manager.reload([_entry(base, 2, stable=2)])]

        def move() -> None:
            if todo:
                todo.pop()()
                wait_for(manager, "m", v1="END")

        acquired(move)
        with manager.use("m", label="stable") as servable:
            assert servable.version == 2

    def test_a_label_that_goes_while_it_is_read_is_unknown(
        self, manager: ModelManager, acquired: Callable[..., None], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base, 1)])
        manager.reload([_entry(base, 1, stable=1)])

        def drop() -> None:
            manager.reload([])
            wait_for(manager, "m", v1="END")

        acquired(drop)
        with pytest.raises(ServingError, match="Unrecognized servable version label: stable"):
            manager.use("m", label="stable").__enter__()

    def test_a_config_that_never_rests_is_followed_for_so_long(
        self, manager: ModelManager, acquired: Callable[..., None], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1)])
        manager.reload([_entry(base, 1, stable=1)])
        manager.reload([_entry(base, 2, stable=1)])
        wait_for(manager, "m", v1="END")
        again = labels_of([_entry(base, stable=1)])
        acquired(lambda: setattr(manager, "_labels", dict(again)))
        with pytest.raises(ServingError) as caught:
            manager.use("m", label="stable").__enter__()
        assert (caught.value.code, caught.value.message) == (
            Code.UNAVAILABLE,
            "The label stable of model m moves all the time",
        )


class TestLooks:
    """The file system may answer one look later than the next."""

    @pytest.fixture
    def held(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], tuple[threading.Event, threading.Event]]:
        """A function that makes the next look hang: it tells when it has seen what it will see, and goes on later."""

        def hold() -> tuple[threading.Event, threading.Event]:
            seen, go_on, first = threading.Event(), threading.Event(), threading.Lock()

            def slow(entries: Sequence[ModelEntry]) -> dict[str, dict[int, Path]]:
                found = look(entries)
                if first.acquire(blocking=False):
                    seen.set()
                    assert go_on.wait(PATIENCE)
                return found

            monkeypatch.setattr(module, "look", slow)
            return seen, go_on

        return hold

    def test_what_an_earlier_look_saw_does_not_undo_a_later_one(
        self, manager: ModelManager, held: Callable[[], tuple[threading.Event, threading.Event]], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        seen, go_on = held()
        slow = threading.Thread(target=manager.poll)
        slow.start()
        assert seen.wait(PATIENCE)
        make(base, 2)
        manager.poll()
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        go_on.set()
        slow.join(PATIENCE)
        assert states(manager, "m") == {1: State.END, 2: State.AVAILABLE}

    def test_what_was_seen_for_another_config_is_forgotten(
        self, manager: ModelManager, held: Callable[[], tuple[threading.Event, threading.Event]], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1)])
        seen, go_on = held()
        slow = threading.Thread(target=manager.poll)
        slow.start()
        assert seen.wait(PATIENCE)
        manager.reload([_entry(base, 2)])
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        go_on.set()
        slow.join(PATIENCE)
        assert answering(manager) == {"m": 2}

    def test_a_file_system_that_hangs_keeps_no_rollback_waiting(
        self, manager: ModelManager, held: Callable[[], tuple[threading.Event, threading.Event]], tmp_path: Path
    ):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1, 2)])
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        manager.reload([_entry(base, 1, 2, stable=2)])
        seen, go_on = held()
        hung = threading.Thread(target=manager.poll)
        hung.start()
        assert seen.wait(PATIENCE)
        manager.reload([_entry(base, 1, stable=1)])
        with manager.use("m", label="stable") as servable:
            assert servable.version == 1
        go_on.set()
        hung.join(PATIENCE)

    def test_nor_a_stop(
        self, loader: FakeLoader, held: Callable[[], tuple[threading.Event, threading.Event]], tmp_path: Path
    ):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
        manager.reload([_entry(make(tmp_path / "m", 1))])
        seen, go_on = held()
        manager.start()
        assert seen.wait(PATIENCE)
        manager.close()
        make(tmp_path / "m", 2)
        go_on.set()
        # What the look saw comes too late to be loaded.
        assert manager._watch.join(PATIENCE)
        assert [load[1] for load in loader.loads] == [1]


def test_nothing_that_goes_wrong_ends_the_looks(
    loader: FakeLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
    base = make(tmp_path / "m", 1)
    manager.reload([_entry(base)])
    errors: list[Exception] = [OSError(116, "Stale file handle"), ValueError("embedded null byte"), RuntimeError("?")]

    def failing(entries: Sequence[ModelEntry]) -> dict[str, dict[int, Path]]:
        if errors:
            raise errors.pop(0)
        return look(entries)

    monkeypatch.setattr(module, "look", failing)
    manager.start()
    make(base, 2)
    wait_for(manager, "m", v1="END", v2="AVAILABLE")
    manager.close(PATIENCE)
    assert [record.getMessage() for record in caplog.records if record.name.endswith("watch")] == [
        "cannot look for versions: OSError: [Errno 116] Stale file handle",
        "cannot look for versions: ValueError: embedded null byte",
        "cannot look for versions: RuntimeError: ?",
    ]
