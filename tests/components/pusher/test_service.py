"""What a running server is told, in which order, and what is put back when it fails half-way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from penstock.components.pusher.config import LabelValue
from penstock.components.pusher.entry import Entry
from penstock.components.pusher.roll_out import in_service
from penstock.components.pusher.service import Service
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.reporting import reporting_to
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import read_moves, version_before
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.models.state import VersionStatus
from penstock.serving.running import describe_process, record_server
from tests.components.pusher.fake_server import FakeServer, put, run
from tests.recorder import Recorder


def _service(config: Path | None, **labels: LabelValue) -> Service:
    return Service("digits", "/serving/digits", config, "localhost:8500", labels)


def test_version_there_then_available_then_the_label_then_the_others_go(config: Path):
    put(config, (1, 2), canary=2, stable=1)
    server = FakeServer()
    assert run(_service(config, canary="this", stable="keep"), server, {1, 2, 3}, 3) == {"canary": 3, "stable": 1}
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
    run(_service(config, stable="this"), server, {1, 2, 3}, 3)
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
    run(_service(config, stable="this"), server, {1}, 1)
    assert server.told == ["wine latest; digits [1]", "wait 1 60s", "wine latest; digits [1] stable=1", "wait 1 60s"]


def test_without_labels_a_new_model_is_told_once_and_its_next_version_not_at_all(config: Path):
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500", wait_seconds=5)
    assert run(service, server, {1}, 1) == {}
    assert server.told == ["digits latest", "wait 1 5s"]
    assert run(service, again := FakeServer(), {1, 2}, 2) == {}
    assert again.told == ["wait 2 5s"]


def test_a_server_with_a_config_of_its_own_is_only_asked():
    server = FakeServer()
    service = Service("digits", "/serving/digits", None, "localhost:8500", wait_seconds=5)
    assert run(service, server, {1}, 1) == {}
    assert server.told == ["wait 1 5s"]


def test_labels_that_somebody_else_set_stay_and_are_safe(config: Path):
    put(config, (1, 2), prod=1)
    server = FakeServer()
    service = Service("digits", "/serving/digits", config, "localhost:8500")
    assert run(service, server, {1, 2, 3}, 3) == {"prod": 1}
    assert server.told == ["digits [1, 2, 3] prod=1", "wait 3 60s", "digits [1, 3] prod=1", "wait 3 60s"]


def test_an_object_store_is_told_by_name_without_labels(config: Path):
    server = FakeServer()
    service = Service("digits", "gs://bucket/digits", config, "localhost:8500")
    run(service, server, {1, 2}, 2)
    assert server.told == ["digits [2]", "wait 2 60s", "wait 2 60s"]


@pytest.mark.parametrize("call", range(5))
def test_a_failure_half_way_puts_the_config_of_before_back(config: Path, call: int):
    before = put(config, (1, 2), canary=2, stable=1)
    server = FakeServer(fail=call)
    with pytest.raises(EnvironmentProblem) as caught:
        run(_service(config, canary="this", stable="keep"), server, {1, 2, 3}, 3)
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
        run(_service(config, stable="this"), server, {1}, 1)
    assert ModelsFile(config).read() == ()
    assert server.told[-1] == "nothing"


def test_a_server_that_dies_leaves_the_config_of_before(config: Path):
    before = put(config, (1,), stable=1)

    class Dying(FakeServer):
        def _tell(self, text: str) -> None:
            self.told.append(text)
            if len(self.told) > 1:
                raise EnvironmentProblem("the server cannot be reached", received="connection refused")

    with pytest.raises(EnvironmentProblem) as caught:
        run(_service(config, stable="this"), Dying(), {1, 2}, 2)
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


def test_a_reload_keeps_the_models_that_stand_in_no_config(config: Path):
    addresses = "127.0.0.1:8500", "http://127.0.0.1:8501"
    plain = [ModelEntry("wine", "/serving/wine"), ModelEntry("digits", "/serving/digits")]
    record_server(describe_process(os.getpid(), "embedded", *addresses, [config], plain))
    for grpc in (None, "127.0.0.1:8500"):
        server = FakeServer()
        service = Service("digits", "/serving/digits", config, grpc, {"stable": "this"})
        run(service, server, {1, 2}, 2 if grpc else 1)
        assert all(told.endswith("; wine latest") for told in server.told if not told.startswith("wait"))


def test_a_config_that_cannot_be_written_is_told_as_what_it_is(config: Path, monkeypatch: pytest.MonkeyPatch):
    before = put(config, (1,), stable=1)

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
