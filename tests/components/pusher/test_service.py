"""What a running server is told, in which order, and what is put back when it fails half-way."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from penstock.components.pusher.config import LabelValue
from penstock.components.pusher.entry import Entry
from penstock.components.pusher.roll_out import in_service
from penstock.components.pusher.service import Service
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.reporting import reporting_to
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import history_file, read_moves, version_before
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.places import changing, pointed_config
from penstock.serving.running import describe_process, record_server
from tests.recorder import Recorder


class FakeServer:
    """Writes down what it is told. ``fail`` is the call, counted from 0, that ends in ``error``."""

    def __init__(self, fail: int | None = None, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.closed = False
        self._fail = fail
        self._error = error or ServingError(Code.UNAVAILABLE, "gone")

    def _tell(self, text: str) -> None:
        if len(self.told) == self._fail:
            self.told.append(f"{text} fails")
            raise self._error
        self.told.append(text)

    def status(self, model: str) -> list[VersionStatus]:
        raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {model}")

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        self._tell("; ".join(map(_shown, entries)) or "nothing")

    def wait_available(self, model: str, version: int, timeout: float) -> None:
        self._tell(f"wait {version} {timeout:g}s")

    def close(self) -> None:
        self.closed = True


def _shown(entry: ModelEntry) -> str:
    labels = "".join(f" {label}={version}" for label, version in entry.labels.items())
    which = entry.policy.kind if entry.policy.kind != "specific" else list(entry.policy.versions)
    return f"{entry.name} {which}{labels}"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "models.config"


def _service(config: Path | None, **labels: LabelValue) -> Service:
    return Service("digits", "/serving/digits", config, "localhost:8500", labels)


def _run(service: Service, server: FakeServer, present: set[int], version: int) -> dict[str, int]:
    with in_service(service, lambda: present, lambda _: server) as roll_out:
        return dict(roll_out.run(version))


def _put(config: Path, versions: tuple[int, ...], **labels: int) -> ModelEntry:
    entry = ModelEntry("digits", "/serving/digits", policy=VersionPolicy("specific", versions=versions), labels=labels)
    ModelsFile(config).update(lambda _: (entry,))
    return entry


def test_version_there_then_available_then_the_label_then_the_others_go(config: Path):
    _put(config, (1, 2), canary=2, stable=1)
    server = FakeServer()
    assert _run(_service(config, canary="this", stable="keep"), server, {1, 2, 3}, 3) == {"canary": 3, "stable": 1}
    assert server.told == [
        "digits [1, 2, 3] canary=2 stable=1",
        "wait 3 60s",
        "digits [1, 2, 3] canary=3 stable=1",
        "digits [1, 3] canary=3 stable=1",
        "wait 3 60s",
    ]
    assert server.closed


def test_the_first_labels_of_a_model_that_was_served_by_its_newest_version(config: Path):
    ModelsFile(config).update(lambda _: (ModelEntry("digits", "/serving/digits"),))
    server = FakeServer()
    _run(_service(config, stable="this"), server, {1, 2, 3}, 3)
    assert server.told == [
        "digits [2, 3]",
        "wait 3 60s",
        "digits [2, 3] stable=3",
        "digits [3] stable=3",
        "wait 3 60s",
    ]


def test_a_new_model_keeps_the_others(config: Path):
    ModelsFile(config).update(lambda _: (ModelEntry("wine", "/serving/wine"),))
    server = FakeServer()
    _run(_service(config, stable="this"), server, {1}, 1)
    assert server.told == ["wine latest; digits [1]", "wait 1 60s", "wine latest; digits [1] stable=1", "wait 1 60s"]


def test_without_labels_a_new_model_is_told_once_and_its_next_version_not_at_all(config: Path):
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500", wait_seconds=5)
    assert _run(service, server, {1}, 1) == {}
    assert server.told == ["digits latest", "wait 1 5s"]
    assert _run(service, again := FakeServer(), {1, 2}, 2) == {}
    assert again.told == ["wait 2 5s"]


def test_a_server_with_a_config_of_its_own_is_only_asked():
    server = FakeServer()
    service = Service("digits", "/serving/digits", None, "localhost:8500", wait_seconds=5)
    assert _run(service, server, {1}, 1) == {}
    assert server.told == ["wait 1 5s"]


def test_labels_that_somebody_else_set_stay_and_are_safe(config: Path):
    _put(config, (1, 2), prod=1)
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500")
    assert _run(service, server, {1, 2, 3}, 3) == {"prod": 1}
    assert server.told == ["digits [1, 2, 3] prod=1", "wait 3 60s", "digits [1, 3] prod=1", "wait 3 60s"]


def test_an_object_store_is_told_by_name_without_labels(config: Path):
    server = FakeServer()
    service = Service("digits", "gs://bucket/digits", config, "localhost:8500")
    _run(service, server, {1, 2}, 2)
    assert server.told == ["digits [2]", "wait 2 60s", "wait 2 60s"]


@pytest.mark.parametrize("call", range(5))
def test_a_failure_half_way_puts_the_config_of_before_back(config: Path, call: int):
    before = _put(config, (1, 2), canary=2, stable=1)
    server = FakeServer(fail=call)
    with pytest.raises(EnvironmentProblem) as caught:
        _run(_service(config, canary="this", stable="keep"), server, {1, 2, 3}, 3)
    assert str(caught.value) == (
        "localhost:8500: version 3 of digits is published, but not in service: UNAVAILABLE: gone\n"
        "  expected: a server that serves the new version\n"
        "  next: the config of before is back; read the server's log, then push again"
    )
    assert ModelsFile(config).read() == (before,)
    assert server.told[-1] == "digits [1, 2] canary=2 stable=1"
    assert version_before(config, "digits", "canary", 2) is None
    assert server.closed


def test_a_version_that_does_not_load_leaves_the_message_of_its_load(config: Path):
    error = ServingError(Code.DATA_LOSS, "saved_model.pb has changed")
    server = FakeServer(fail=1, error=error)
    with pytest.raises(EnvironmentProblem, match=r"not in service: DATA_LOSS: saved_model\.pb has changed"):
        _run(_service(config, stable="this"), server, {1}, 1)
    assert ModelsFile(config).read() == ()
    assert server.told[-1] == "nothing"


def test_a_server_that_dies_leaves_the_config_of_before(config: Path):
    before = _put(config, (1,), stable=1)

    class Dying(FakeServer):
        def _tell(self, text: str) -> None:
            self.told.append(text)
            if len(self.told) > 1:
                raise EnvironmentProblem("the server cannot be reached", received="connection refused")

    with pytest.raises(EnvironmentProblem) as caught:
        _run(_service(config, stable="this"), Dying(), {1, 2}, 2)
    assert str(caught.value) == (
        "localhost:8500: version 2 of digits is published, but not in service: the server cannot be reached\n"
        "  received: connection refused\n"
        "  expected: a server that serves the new version\n"
        "  next: the config of before could not be put back (the server cannot be reached\n"
        "  received: connection refused); read the server's log, then push again"
    )
    assert ModelsFile(config).read() == (before,)


def test_a_server_that_refuses_to_say_what_it_serves_is_found_out_before(config: Path):
    class Refusing(FakeServer):
        def status(self, model: str) -> list[VersionStatus]:
            raise ServingError(Code.UNIMPLEMENTED, "unknown service tensorflow.serving.ModelService")

    server = Refusing()
    with (
        pytest.raises(EnvironmentProblem, match="the server cannot say what it serves: UNIMPLEMENTED: unknown service"),
        in_service(_service(config), lambda: (), lambda _: server),
    ):
        pytest.fail("the block must not begin")
    assert server.closed


def test_a_malformed_config_is_found_out_before(config: Path):
    config.write_text("# Generated by Penstock;\nmodel_config_list {")
    with (
        pytest.raises(ConfigError, match="is malformed"),
        in_service(_service(config), lambda: (), lambda _: FakeServer()),
    ):
        pytest.fail("the block must not begin")


def test_the_server_that_penstock_serve_started_is_found(config: Path):
    record_server(describe_process(os.getpid(), "embedded", "127.0.0.1:8500", "http://127.0.0.1:8501", [config]))
    server, asked = FakeServer(), []
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})

    def connect(service: Service) -> FakeServer:
        asked.append(service.grpc)
        return server

    with in_service(service, lambda: {1}, connect) as roll_out:
        roll_out.run(1)
    assert asked == ["127.0.0.1:8500"]
    assert server.told == ["digits [1]", "wait 1 60s", "digits [1] stable=1", "wait 1 60s"]


def test_a_server_of_several_configs_keeps_their_models(config: Path, tmp_path: Path):
    other = tmp_path / "other" / "models.config"
    ModelsFile(other).update(lambda _: (ModelEntry("wine", "/serving/wine"),))
    addresses = "127.0.0.1:8500", "http://127.0.0.1:8501"
    record_server(describe_process(os.getpid(), "embedded", *addresses, [other, config]))
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})
    with in_service(service, lambda: {1}, lambda _: server) as roll_out:
        roll_out.run(1)
    assert server.told[0] == "wine latest; digits [1]"
    assert [entry.name for entry in ModelsFile(config).read()] == ["digits"]


def test_a_move_of_a_label_is_remembered(config: Path):
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})
    for version in (1, 2):
        with in_service(service, lambda: {1, 2}) as roll_out:
            roll_out.run(version)
    assert version_before(config, "digits", "stable", 2) == 1


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
    _put(config, (1, 2), canary=2, stable=1)
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


def test_of_two_pushes_at_once_the_newer_one_keeps_the_label(config: Path):
    service = Service("digits", "/serving/digits", config, labels={"canary": "this"})
    told = Recorder()
    with (
        reporting_to(told),
        in_service(service, lambda: {1, 2}) as older,
        in_service(service, lambda: {1, 2}) as newer,
    ):
        assert newer.run(2) == {"canary": 2}
        assert older.run(1) == {"canary": 2}
    assert "label 'canary' stays at version 2, to which it has moved while this push went on" in told.notes
    assert [move.after for move in read_moves(config, "digits")] == [2]


def test_a_folder_whose_push_failed_is_not_asked_for(config: Path):
    _put(config, (1,), stable=1)
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500")
    _run(service, server, {1, 2, 3, 9}, 3)  # 9 was published, and never in service.
    (entry,) = ModelsFile(config).read()
    assert entry.policy.versions == (1, 3)


def test_a_reload_keeps_the_models_that_stand_in_no_config(config: Path):
    addresses = "127.0.0.1:8500", "http://127.0.0.1:8501"
    plain = [ModelEntry("wine", "/serving/wine"), ModelEntry("digits", "/serving/digits")]
    record_server(describe_process(os.getpid(), "embedded", *addresses, [config], plain))
    for grpc in (None, "127.0.0.1:8500"):
        server = FakeServer()
        service = Service("digits", "/serving/digits", config, grpc, {"stable": "this"})
        _run(service, server, {1, 2}, 2 if grpc else 1)
        assert all(told.endswith("; wine latest") for told in server.told if not told.startswith("wait"))


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


def test_a_config_that_cannot_be_written_is_told_as_what_it_is(config: Path, monkeypatch: pytest.MonkeyPatch):
    before = _put(config, (1,), stable=1)

    def full(self: Entry, entry: ModelEntry | None) -> tuple[ModelEntry, ...]:
        if entry == before:
            return ()
        raise EnvironmentProblem(
            f"{config} could not be written",
            received="[Errno 28] No space left on device",
            expected="a text file in a folder that can be written",
            hint=f"check the owner, the permissions and the free space of {config.parent}",
        )

    monkeypatch.setattr(Entry, "write", full)
    service = Service("digits", "/serving/digits", config, labels={"stable": "this"})
    with in_service(service, lambda: {1, 2}) as roll_out, pytest.raises(EnvironmentProblem) as caught:
        roll_out.run(2, "/serving/digits/2, digest abc")
    assert str(caught.value) == (
        f"version 2 of digits is published, but not in service: {config} could not be written\n"
        "  received: /serving/digits/2, digest abc; [Errno 28] No space left on device\n"
        "  expected: a text file in a folder that can be written\n"
        "  next: the config of before is back; check the owner, the permissions and the free space of "
        f"{config.parent}, then push again"
    )
