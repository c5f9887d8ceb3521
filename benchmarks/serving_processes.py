"""Servers for the serving benchmark, each a process of its own on 127.0.0.1, gone when their block ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.serving_models import NAME

START_SECONDS = 120.0
_STOP_SECONDS = 40.0
_POLL_SECONDS = 1
"""How often ours looks for new versions: TF Serving's default."""


class ServerProcess:
    """A server that runs.

    Attributes:
        port: Port of gRPC.
        rest_port: Port of REST; nothing is there where the server has none.
    """

    def __init__(self, process: subprocess.Popen[bytes], port: int, rest_port: int) -> None:
        self.port = port
        self.rest_port = rest_port
        self._process = process
        self._usage = psutil.Process(process.pid)

    @property
    def address(self) -> str:
        """``host:port`` of gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def exit_code(self) -> int | None:
        """What it ended with; None while it runs."""
        return self._process.returncode

    def cpu_seconds(self) -> float:
        """Return the processor time that it has used."""
        times = self._usage.cpu_times()
        return float(times.user + times.system)

    def wait_for(self, ready: Callable[[], bool], log: Path) -> None:
        """Return when it is ready."""
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the server does not start:\n{log.read_text(encoding='utf-8')}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it as an operator would; by force if it does not."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def ours(source: Path, log: Path, *flags: str) -> Iterator[ServerProcess]:
    """Run the embedded server on a base path or a ``models.config`` and yield it when a model is AVAILABLE."""
    from penstock.errors import EnvironmentProblem
    from penstock.serving.client import Client
    from penstock.serving.errors import ServingError
    from penstock.serving.models.state import State

    models = [f"--model_config_file={source}"]
    if source.is_dir():
        models = [f"--model_base_path={source}", f"--model_name={NAME}"]
    port, rest_port = _free_ports(2)
    command = ["-m", "penstock.serving.server", *models, f"--port={port}", f"--rest_api_port={rest_port}"]
    command += [f"--file_system_poll_wait_seconds={_POLL_SECONDS}", *flags]

    def available() -> bool:
        with Client(grpc=f"127.0.0.1:{port}", timeout=1, retries=0) as client:
            try:
                return any(version.state is State.AVAILABLE for version in client.status(NAME))
            except (EnvironmentProblem, ServingError):
                return False

    with _running(command, port, rest_port, log) as server:
        server.wait_for(available, log)
        yield server
    if server.exit_code:
        raise SystemExit(f"the server ended with exit code {server.exit_code}:\n{log.read_text(encoding='utf-8')}")


@contextmanager
def plain(folder: Path, log: Path) -> Iterator[ServerProcess]:
    """Run the plainest Python PredictionService on a SavedModel."""
    (port,) = _free_ports(1)
    with _listening(["plain", str(folder), str(port)], port, log) as server:
        yield server


@contextmanager
def reply(log: Path) -> Iterator[ServerProcess]:
    """Run what answers the same bytes to every request."""
    (port,) = _free_ports(1)
    with _listening(["reply", str(port)], port, log) as server:
        yield server


@contextmanager
def _listening(arguments: Sequence[str], port: int, log: Path) -> Iterator[ServerProcess]:
    def listens() -> bool:
        with socket.socket() as found:
            return found.connect_ex(("127.0.0.1", port)) == 0

    with _running(["-m", "benchmarks.serving_peer", *arguments], port, 0, log) as server:
        server.wait_for(listens, log)
        yield server


@contextmanager
def _running(command: Sequence[str], port: int, rest_port: int, log: Path) -> Iterator[ServerProcess]:
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [sys.executable, *command],
            stdout=stream,
            stderr=stream,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        )
    server = ServerProcess(process, port, rest_port)
    try:
        yield server
    finally:
        server.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
