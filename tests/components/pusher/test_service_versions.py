"""Which versions a push leaves alone, and which numbers count as used."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from penstock.components.pusher.roll_out import in_service
from penstock.components.pusher.service import Service
from penstock.errors import EnvironmentProblem
from penstock.reporting import reporting_to
from penstock.serving.label_history import history_file
from penstock.serving.model_config import ModelsFile
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.places import changing, pointed_config
from tests.components.pusher.fake_server import FakeServer, put, run
from tests.recorder import Recorder


def _kept(service: Service, present: set[int], version: int, server: FakeServer | None = None) -> set[int]:
    """Return what a pruning is told to leave alone."""
    kept: list[Collection[int]] = []

    def remove(keep: int, needed: Collection[int]) -> tuple[int, ...]:
        kept.append(needed)
        return ()

    with in_service(service, lambda: present, lambda _: server or FakeServer()) as roll_out:
        roll_out.prune(1, version, remove)
    return set(kept[0])


def test_the_config_names_the_versions_that_must_stay(config: Path):
    put(config, (1, 2), canary=2, stable=1)
    assert _kept(Service("digits", "/serving/digits", config), {1, 2}, 3) == {1, 2, 3}


def test_the_version_that_a_rollback_would_go_to_must_stay(config: Path):
    service = Service("digits", "/serving/digits", config, "localhost:8500", {"stable": "this"})
    for version in (1, 2, 3):
        with in_service(service, lambda: {1, 2, 3}, lambda _: FakeServer()) as roll_out:
            roll_out.run(version)
    assert _kept(service, {1, 2, 3}, 3) == {2, 3}


def test_what_the_server_answers_with_must_stay(config: Path):
    class Busy(FakeServer):
        def status(self, model: str) -> list[VersionStatus]:
            states = (State.AVAILABLE, State.LOADING, State.UNLOADING, State.END)
            return [VersionStatus(version, state) for version, state in enumerate(states, start=1)]

    service = Service("digits", "/serving/digits", None, "localhost:8500")
    assert _kept(service, {1, 2, 3, 4, 5}, 5, Busy()) == {1, 2, 5}


def test_a_step_without_a_config_leaves_what_another_one_names(tmp_path: Path):
    base, elsewhere = tmp_path / "serving" / "digits", tmp_path / "deploy" / "tf.config"
    base.mkdir(parents=True)
    other = Service("digits", str(base), elsewhere, labels={"stable": "this"})
    with in_service(other, lambda: {1}) as roll_out:
        roll_out.run(1)
    assert pointed_config(base) == elsewhere
    assert _kept(Service("digits", str(base)), {1, 2, 3}, 3) == {1, 3}


def test_nothing_is_removed_while_a_promotion_goes_on(config: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock.components.pusher.roll_out.LOCK_SECONDS", 0.0)
    told = Recorder()
    with (
        reporting_to(told),
        in_service(Service("digits", "/serving/digits", config), lambda: {1, 2}) as roll_out,
        changing(config, 1),
    ):
        assert roll_out.prune(1, 2, lambda keep, needed: pytest.fail("it must not remove anything")) == []
    assert told.notes[0].startswith(
        f"older versions stay: {config}: a push, a promotion or a rollback has been changing the config for 0 s"
    )


def test_a_folder_whose_push_failed_is_not_asked_for(config: Path):
    put(config, (1,), stable=1)
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500")
    run(service, server, {1, 2, 3, 9}, 3)  # 9 was published, and never in service.
    (entry,) = ModelsFile(config).read()
    assert entry.policy.versions == (1, 3)


def test_a_history_that_cannot_be_written_leaves_the_version_in_service(config: Path):
    history_file(config).mkdir()
    told = Recorder()
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})
    with reporting_to(told), pytest.raises(EnvironmentProblem, match="the history of labels cannot be read"):
        _used(service)
    with reporting_to(told), in_service(service, lambda: {1}) as roll_out:
        assert roll_out.run(1) == {"stable": 1}
    assert told.notes[0].startswith(f"{history_file(config)}: the history of labels cannot be written: Is a directory")


def _used(service: Service) -> set[int]:
    with in_service(service, lambda: {1}) as roll_out:
        return roll_out.used()


def test_a_number_that_the_config_or_its_history_names_is_used(config: Path):
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})
    for version in (3, 5):
        with in_service(service, lambda: {3, 5}) as roll_out:
            roll_out.run(version)
    assert _used(service) == {3, 5}
