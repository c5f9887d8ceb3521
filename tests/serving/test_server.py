from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_service_pb2_grpc

from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.serving import server as module
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, format_models
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.server import Server, ServerOptions, main
from tests.serving.inference.fakes import FakeModel, definition

MANAGER = ManagerOptions(poll_seconds=0.02, load_retries=0, retry_seconds=0)


class Loaded(FakeModel):
    def close(self) -> None:
        """Nothing to free."""


class Complaint(logging.Handler):
    """Keeps what was logged, and tells when: another handler of the same record may not have seen it by then."""

    def __init__(self) -> None:
        super().__init__()
        self.made = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.made.set()


@pytest.fixture(autouse=True)
def _load_without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, version: int, path: Path, **_: Any) -> Loaded:
        if (path / "broken").exists():
            raise ServingError(Code.DATA_LOSS, "a byte is another one")
        return Loaded(definition(["x"], ["y"]), lambda inputs: {"y": inputs["x"]}, version)

    monkeypatch.setattr("penstock.serving.models.manager.load_servable", load)


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    (tmp_path / "m" / "1").mkdir(parents=True)
    return ModelEntry("m", str(tmp_path / "m"))


@pytest.fixture
def make() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def one(models: Any, **options: Any) -> Server:
        made.append(Server(ServerOptions(**{"grpc_port": 0, "rest_port": 0, **options}), models, MANAGER))
        return made[-1]

    yield one
    for server in made:
        server.stop()


def test_both_protocols_answer_until_it_stops(make, entry):
    server = make((entry,))
    ports = server.start()
    assert ports == server.ports
    url = f"http://127.0.0.1:{ports.rest}"
    assert httpx.get(f"{url}/v1/models/m").json()["model_version_status"][0]["state"] == "AVAILABLE"
    assert (
        ':penstock:serving:version_state{model_name="m",version="1"} 30'
        in httpx.get(f"{url}/monitoring/prometheus/metrics").text
    )
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = "m"
        answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=20)
        assert answer.model_version_status[0].state == 30
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/v1/models/m")


def test_only_what_is_asked_for(make, entry):
    ports = make((entry,), rest_port=None).start()
    assert ports.grpc
    assert ports.rest is None


@pytest.mark.parametrize(("what", "option"), [("gRPC", "grpc_port"), ("REST", "rest_port")])
def test_a_port_in_use(make, entry, what, option):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"{what} cannot listen on 127.0.0.1:{port}") as caught:
            make((entry,), **{option: port}).start()
    assert caught.value.hint == "stop the server that has the port, or choose another one"


def test_two_servers_do_not_share_a_port(make, entry):
    port = make((entry,)).start().grpc
    with pytest.raises(EnvironmentProblem, match="gRPC cannot listen on"):
        make((entry,), grpc_port=port).start()


def test_a_config_that_is_not_there(make, tmp_path):
    with pytest.raises(ConfigError, match=r"the config of the models cannot be read: .*No such file") as caught:
        make(tmp_path / "models.config").start()
    assert caught.value.where == str(tmp_path / "models.config")


def test_a_malformed_config(make, tmp_path):
    path = tmp_path / "models.config"
    path.write_text("model_config_list {")
    with pytest.raises(ConfigError, match="the config of the models is wrong: Invalid protobuf file: "):
        make(path).start()


def test_a_model_that_cannot_be_loaded(make, entry):
    (Path(entry.base_path) / "1" / "broken").touch()
    with pytest.raises(ArtifactError, match=r"the models cannot be served: 1 servable\(s\) did not become available"):
        make((entry,)).start()


def test_the_config_is_followed_and_a_malformed_one_is_not(make, entry, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(format_models([entry]))
    server = make(path, config_poll_seconds=0.02)
    server.start()
    (tmp_path / "other" / "1").mkdir(parents=True)
    path.write_text("nonsense")
    complaint = Complaint()
    module._LOG.addHandler(complaint)
    try:
        assert complaint.made.wait(30)
    finally:
        module._LOG.removeHandler(complaint)
    assert "the config is not taken over" in complaint.messages[0]
    assert server.manager.names() == ["m"]
    path.write_text(format_models([entry, ModelEntry("other", str(tmp_path / "other"))]))
    assert server.manager.wait_until(lambda: server.manager.names() == ["m", "other"], 30)


def test_a_signal_drains(make, entry, monkeypatch):
    class SignalWhenWaiting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            os.kill(os.getpid(), signal.SIGTERM)
            return super().wait(timeout)

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = make((entry,))
    url = f"http://127.0.0.1:{server.start().rest}"
    monkeypatch.setattr(server, "_stopping", SignalWhenWaiting())
    try:
        server.wait()
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_the_command_line_says_what_is_wrong(capsys, tmp_path):
    assert main(["--port=0", f"--model_config_file={tmp_path / 'none'}"]) == 2
    assert "the config of the models cannot be read" in capsys.readouterr().err


def test_a_stop_ends_a_reload_that_waits_for_a_model(make, entry, tmp_path):
    path = tmp_path / "models.config"
    path.write_text(format_models([entry]))
    server = make(path, config_poll_seconds=0.02)
    server.start()
    (tmp_path / "empty").mkdir()
    path.write_text(format_models([ModelEntry("empty", str(tmp_path / "empty"))]))
    assert server.manager.wait_until(lambda: server.manager.names() == ["empty"], 30)
    server.stop()
