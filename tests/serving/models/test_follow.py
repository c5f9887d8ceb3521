"""A config file that names versions and labels at once: the versions first, the labels when they answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.state import State
from tests.serving.models.fakes import PATIENCE, FakeLoader, Recorder, answering, make, states, wait_for

OPTIONS = ManagerOptions(load_retries=0, poll_seconds=0)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make(tmp_path / "m", 1, 2)


@pytest.fixture
def manager(loader: FakeLoader, recorder: Recorder, base: Path) -> Iterator[ModelManager]:
    """Serves version 1 of ``m`` as ``stable``."""
    manager = ModelManager(OPTIONS, loader, recorder)
    manager.reload([_entry(base, 1)])
    manager.reload([_entry(base, 1, stable=1)])
    yield manager
    manager.close(PATIENCE)


def _entry(base: Path, *versions: int, **labels: int) -> ModelEntry:
    policy = VersionPolicy("specific", versions=versions) if versions else VersionPolicy()
    return ModelEntry(base.name, str(base), policy=policy, labels=labels)


def _follow(manager: ModelManager, *entries: ModelEntry) -> None:
    manager.follow(entries, manager.revision)


def _labelled(manager: ModelManager, label: str = "stable") -> int:
    with manager.use("m", label=label) as servable:
        return servable.version


def test_the_end_of_a_promotion_is_reached_without_a_gap(
    manager: ModelManager, loader: FakeLoader, recorder: Recorder, base: Path
):
    """What a promotion without a known server writes: the new version alone, and the label on it."""
    final = _entry(base, 2, stable=2)
    with loader.held("m", 2) as begun:
        _follow(manager, final)
        assert begun()
        for _ in range(2):
            _follow(manager, final)
            assert _labelled(manager) == 1
    wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
    assert _labelled(manager) == 1
    _follow(manager, final)
    assert _labelled(manager) == 2
    wait_for(manager, "m", v1="END")
    assert recorder.states == [
        *("m 1 START", "m 1 LOADING", "m 1 AVAILABLE"),
        *("m 2 START", "m 2 LOADING", "m 2 AVAILABLE"),
        *("m 1 UNLOADING", "m 1 END"),
    ]


@pytest.mark.parametrize("policy", [VersionPolicy(), VersionPolicy("all")])
def test_what_the_label_names_stays_whatever_the_policy(
    manager: ModelManager, loader: FakeLoader, base: Path, policy: VersionPolicy
):
    make(base, 3)
    final = ModelEntry("m", str(base), policy=policy, labels={"stable": 2, "canary": 3})
    with loader.held("m", 2):
        _follow(manager, final)
        wait_for(manager, "m", v3="AVAILABLE")
        manager.poll()
        assert states(manager, "m")[1] is State.AVAILABLE
        assert _labelled(manager) == 1
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            _labelled(manager, "canary")


def test_a_base_path_that_moves_keeps_what_the_label_names(manager: ModelManager, loader: FakeLoader, tmp_path: Path):
    elsewhere = make(tmp_path / "elsewhere", 5)
    final = ModelEntry("m", str(elsewhere), policy=VersionPolicy("specific", versions=(5,)), labels={"stable": 5})
    with loader.held("m", 5):
        _follow(manager, final)
        assert _labelled(manager) == 1
    wait_for(manager, "m", v5="AVAILABLE")
    _follow(manager, final)
    assert _labelled(manager) == 5
    wait_for(manager, "m", v1="END")


def test_a_version_that_cannot_be_loaded_leaves_the_label(
    manager: ModelManager, loader: FakeLoader, base: Path, caplog: pytest.LogCaptureFixture
):
    loader.fail("m", 2, ServingError(Code.DATA_LOSS, "damaged"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            _follow(manager, _entry(base, 2, stable=2, canary=9))
    wait_for(manager, "m", v2="END")
    assert _labelled(manager) == 1
    assert states(manager, "m") == {1: State.AVAILABLE, 2: State.END}
    assert [record.getMessage() for record in caplog.records if record.name.endswith("manager")] == [
        "the label 'canary' of m waits until version 9 is AVAILABLE",
        "the label 'stable' of m waits until version 2 is AVAILABLE",
    ]


def test_the_file_may_change_its_mind(manager: ModelManager, loader: FakeLoader, base: Path):
    with loader.held("m", 2) as begun:
        _follow(manager, _entry(base, 2, stable=2))
        assert begun()
        _follow(manager, _entry(base, 1, stable=1))
    wait_for(manager, "m", v2="END")
    assert _labelled(manager) == 1


def test_a_new_model_gets_its_label_later(manager: ModelManager, base: Path, tmp_path: Path):
    other = make(tmp_path / "n", 1)
    entries = [_entry(base, 1, stable=1), _entry(other, 1, best=1)]
    _follow(manager, *entries)
    wait_for(manager, "n", v1="AVAILABLE")
    _follow(manager, *entries)
    with manager.use("n", label="best") as servable:
        assert servable.version == 1


def test_a_new_label_need_not_wait_where_that_is_allowed(loader: FakeLoader, base: Path):
    manager = ModelManager(ManagerOptions(poll_seconds=0, allow_labels_for_unavailable=True), loader)
    manager.reload([_entry(base, 1)])
    with loader.held("m", 2):
        _follow(manager, _entry(base, 1, 2, canary=2))
        with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 2\)"):
            _labelled(manager, "canary")
    manager.close(PATIENCE)


def test_it_waits_for_nothing(manager: ModelManager, base: Path, tmp_path: Path):
    _follow(manager, _entry(base, 1, stable=1), _entry(make(tmp_path / "empty")))
    assert manager.names() == ["m", "empty"]


def test_what_is_refused_changes_nothing(manager: ModelManager, base: Path):
    with pytest.raises(ServingError, match="Illegal to list model m multiple times"):
        _follow(manager, _entry(base, 1), _entry(base, 1))
    assert _labelled(manager) == 1


def test_the_same_file_is_no_change(manager: ModelManager, loader: FakeLoader, base: Path):
    revision = manager.revision
    for _ in range(2):
        _follow(manager, _entry(base, 1, stable=1))
    assert manager.revision == revision
    with loader.held("m", 2):
        for _ in range(2):
            _follow(manager, _entry(base, 2, stable=2))
        assert manager.revision == revision + 1


def test_a_file_read_before_a_reload_is_not_taken_over_after_it(manager: ModelManager, base: Path):
    revision = manager.revision
    manager.reload([_entry(base, 1, 2, stable=1)])
    wait_for(manager, "m", v2="AVAILABLE")
    manager.reload([_entry(base, 1, 2, stable=2)])
    manager.follow([_entry(base, 1, stable=1)], revision)
    assert _labelled(manager) == 2
    assert answering(manager) == {"m": 2}


def test_a_reload_in_between_is_what_counts(manager: ModelManager, loader: FakeLoader, base: Path):
    with loader.held("m", 2) as begun:
        _follow(manager, _entry(base, 2, stable=2))
        assert begun()
        manager.reload([_entry(base, 1, stable=1)])
    wait_for(manager, "m", v1="AVAILABLE", v2="END")
    assert _labelled(manager) == 1


def test_nothing_is_taken_over_while_the_server_stops(manager: ModelManager, base: Path):
    manager.end_waits()
    with pytest.raises(ServingError) as caught:
        _follow(manager, _entry(base, 2))
    assert (caught.value.code, caught.value.message) == (Code.UNAVAILABLE, "The server is shutting down")
