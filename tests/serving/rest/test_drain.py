"""SIGTERM while a request is worked on."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

import pytest

from tests.serving.conformance.rest_vectors import ask


class Process:
    """A server process with a slow model."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "tests.serving.rest.slow_main", str(folder)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdin
        assert self.process.stdout
        self.stdin: IO[str] = self.process.stdin
        self.stdout: IO[str] = self.process.stdout
        self.port = int(self.stdout.readline())

    def says(self) -> str:
        return self.stdout.readline().strip()

    def let_one_answer(self) -> None:
        self.stdin.write("\n")
        self.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.stdin.close()
        self.stdout.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    process.end()


def _takes_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_request_in_progress_is_answered_and_no_other_is_taken(server: Process) -> None:
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    kept.request("GET", "/v1/models/m")
    assert kept.getresponse().read().startswith(b"{")
    with ThreadPoolExecutor(1) as pool, closing(kept):
        waiting = pool.submit(ask, server.port, "POST", "/v1/models/m:predict", b'{"instances": [1]}')
        assert server.says() == "called"
        server.process.send_signal(signal.SIGTERM)
        while _takes_connections(server.port):
            pass
        # A connection that was kept is closed, without an answer to anything.
        assert kept.sock.recv(65536) == b""
        assert (server.process.poll(), waiting.done()) == (None, False)
        server.let_one_answer()
        answer = waiting.result(240)
    assert (answer.status, answer.json(), answer.headers["connection"]) == (200, {"predictions": [2.5]}, "close")
    assert server.says() == "drained"
    assert server.process.wait(240) == 0
