from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import grpc
import httpx
import pytest
from tensorflow_serving.apis import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelEntry, entries_to_proto, format_models
from penstock.serving.server import Server, main

pytestmark = pytest.mark.usefixtures("without_tensorflow")


def test_both_protocols_answer_until_it_stops(make, entry):
    server = make((entry,))
    ports = server.start()
    assert ports == server.ports
    url = f"http://127.0.0.1:{ports.rest}"
    assert httpx.get(f"{url}/v1/models/m", timeout=120).json()["model_version_status"][0]["state"] == "AVAILABLE"
    assert (
        ':penstock:serving:version_state{model_name="m",version="1"} 30'
        in httpx.get(f"{url}/monitoring/prometheus/metrics", timeout=120).text
    )
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        asked = get_model_status_pb2.GetModelStatusRequest()
        asked.model_spec.name = "m"
        answer = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(asked, timeout=120)
        assert answer.model_version_status[0].state == 30
    server.stop()
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/v1/models/m", timeout=120)


def test_the_collector_is_spared_before_there_are_models(make, entry):
    """Frozen later, what a version leaves in circles would never go."""
    server = make((entry,))

    def look() -> None:
        assert server.ports.rest
        with pytest.raises(ServingError, match="Could not find any versions of model m"):
            server.manager.status("m")

    server.start(look)
    assert [status.state.name for status in server.manager.status("m")] == ["AVAILABLE"]


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(make, entry, monkeypatch, number):
    class SignalWhenWaiting:
        def __init__(self) -> None:
            self._queue: SimpleQueue[int | None] = SimpleQueue()
            self.put = self._queue.put

        def get(self) -> int | None:
            os.kill(os.getpid(), number)
            return self._queue.get()

    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    server = make((entry,))
    url = f"http://127.0.0.1:{server.start().rest}"
    monkeypatch.setattr(server, "_told_to_stop", SignalWhenWaiting())
    try:
        server.wait()
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGINT, before[1])
    with pytest.raises(httpx.ConnectError):
        httpx.get(url, timeout=120)


def test_an_interruption_before_the_models_are_served(entry, monkeypatch, capsys):
    def interrupt(self: Server, _before: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Server, "_load", interrupt)
    assert main(["--port=-1", f"--model_base_path={entry.base_path}"]) == 130
    assert capsys.readouterr().err == "interrupted before the models were served\n"


def test_the_command_line_says_what_is_wrong(capsys, tmp_path):
    assert main(["--port=-1", f"--model_config_file={tmp_path / 'none'}"]) == 2
    assert "the config of the models cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "code", "message"),
    [
        ("--port=99999", 2, "argument --port: expected -1 to 65535, was 99999"),
        ("--host=192.0.2.1", 1, "gRPC cannot listen on 192.0.2.1:"),
        ("--host=no.such.host.invalid", 1, "gRPC cannot listen on no.such.host.invalid:"),
        ("--host=a..b", 1, "gRPC cannot listen on a..b:"),
        ("--model_base_path=relative", 2, "the model cannot be served: Expected model default to have an absolute"),
    ],
)
def test_what_cannot_be_started_says_so_in_one_line(capfd, entry, flag, code, message):
    assert main(["--port=-1", f"--model_base_path={entry.base_path}", flag]) == code
    lines = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("  ")]
    assert [line[: len(message) + 7] for line in lines if not line.startswith("20")] == [f"error: {message}"]


class Reloads:
    """Asks a server for other configs, each time in a thread of its own."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.ports.grpc}")
        self._call = model_service_pb2_grpc.ModelServiceStub(self.channel).HandleReloadConfigRequest

    def __call__(self, *entries: ModelEntry) -> Any:
        """Return the call, once the server has taken the config over."""
        revision = self._server.manager.revision
        request = model_management_pb2.ReloadConfigRequest(config=entries_to_proto(entries))
        call = self._call.future(request, timeout=120)
        assert self._server.manager.wait_until(lambda: self._server.manager.revision > revision, 120)
        return call


@pytest.fixture
def reloads(make, entry) -> Iterator[tuple[Server, Reloads]]:
    server = make((entry,), drain_seconds=3600)
    server.start()
    reloads = Reloads(server)
    yield server, reloads
    reloads.channel.close()


def test_a_stop_ends_a_reload_that_waits_for_a_model(reloads, tmp_path):
    server, reload = reloads
    (tmp_path / "empty").mkdir()
    call = reload(ModelEntry("empty", str(tmp_path / "empty")))
    server.stop()
    assert (call.code(), call.details()) == (grpc.StatusCode.UNAVAILABLE, "The server is shutting down")


def test_reloads_that_wait_keep_no_other_from_taking_them_back(reloads, entry, tmp_path):
    _, reload = reloads
    waiting: list[Any] = []
    for name in "abc":
        (tmp_path / name).mkdir()
        waiting.append(reload(entry, *(ModelEntry(each, str(tmp_path / each)) for each in "abc"[: len(waiting) + 1])))
    assert reload(entry).result().status.error_code == 0
    assert {call.code() for call in waiting} == {grpc.StatusCode.ABORTED}


def test_the_threads_end_with_the_server(make, entry, tmp_path):
    before = set(threading.enumerate())
    path = tmp_path / "models.config"
    path.write_text(format_models([entry]))
    server = make(path, config_poll_seconds=0.02)
    url = f"http://127.0.0.1:{server.start().rest}"
    assert httpx.get(f"{url}/v1/models/m", timeout=120).status_code == 200
    server.stop()
    for thread in set(threading.enumerate()) - before:
        # The threads of gRPC itself live on.
        if not thread.name.startswith("Thread-"):
            thread.join(120)
            assert not thread.is_alive(), thread
