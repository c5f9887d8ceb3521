"""Clients that keep a connection and do nothing with it, at a real server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from penstock.serving.model_config import ModelEntry
from penstock.serving.rest.protocol import JsonErrors, with_seconds_to_read
from penstock.serving.server import Server, ServerOptions
from tests.serving.rest.fakes import FLOAT, FakeModel

_SECONDS = 1.0
_LONGEST = 300.0
"""Seconds that a busy machine may take to make an answer."""
_LARGE = 1 << 24
"""Bytes of an answer: more than the buffers of two sockets hold."""


class Large(FakeModel):
    """Answers a number with a long text."""

    def close(self) -> None:
        """Nothing to free."""


def _answer(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"y": np.array([b"x" * _LARGE for _ in inputs["x"]], object)}


def _load(name: str, version: int, path: Path, **_: Any) -> Large:
    return Large(_answer, {"x": FLOAT}, version)


@contextmanager
def _running(folder: Path, seconds: float) -> Iterator[Server]:
    (folder / "1").mkdir()
    options = ServerOptions(grpc_port=None, rest_port=0, rest_timeout=seconds, drain_seconds=1)
    with patch("penstock.serving.models.manager.load_servable", _load):
        server = Server(options, (ModelEntry("m", str(folder)),))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """One that gives all its clients little time."""
    with _running(tmp_path, _SECONDS) as server:
        yield server


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Server]:
    """One that takes its time for an answer, and gives little to those who read it."""

    def sooner(seconds: float) -> type[JsonErrors]:
        assert seconds == _LONGEST
        return with_seconds_to_read(_SECONDS)

    with patch("penstock.serving.rest.protocol.with_seconds_to_read", sooner), _running(tmp_path, _LONGEST) as server:
        yield server


def _connect(server: Server, body: bytes, length: int) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", server.ports.rest or 0), timeout=120)
    head = f"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n"
    client.sendall(head.encode() + body)
    return client


def _connections(server: Server) -> int:
    assert server._rest
    return len(server._rest._server.server_state.connections)


def test_an_answer_that_nobody_reads_ends_with_its_connection(impatient: Server) -> None:
    body = b'{"instances": [1]}'
    with _connect(impatient, body, len(body)) as client:
        assert client.recv(12) == b"HTTP/1.1 200"
        while _connections(impatient):
            time.sleep(0.01)
        received, total = b"x", 0
        with suppress(ConnectionResetError):
            while received:
                received = client.recv(1 << 20)
                total += len(received)
    assert 0 < total < _LARGE


def test_a_body_that_comes_drop_by_drop_is_refused(server: Server) -> None:
    with _connect(server, b"{", 100) as client:
        assert client.recv(1024).startswith(b"HTTP/1.1 408 Request Timeout\r\n")
