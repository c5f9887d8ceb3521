"""What a client may take its time for, and how much it may send before it says what it wants."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest
import uvicorn
from uvicorn.server import ServerState

from penstock.serving.rest.protocol import HEAD_BYTES, HEAD_SECONDS, LEAST_BYTES, with_seconds_to_read

HEAD = b"POST /v1/models/m:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"


class Timer:
    """A timer that goes off when the test says so."""

    def __init__(self, seconds: float, callback: Callable[[], None]) -> None:
        self.seconds, self.go_off, self.cancelled = seconds, callback, False

    def cancel(self) -> None:
        self.cancelled = True


class Connection:
    """A protocol without a loop: it keeps the timers that are set, the bytes that are written, and the requests."""

    def __init__(self) -> None:
        self.timers: list[Timer] = []
        self.written = b""
        self.begun: list[Any] = []
        loop = Mock(call_later=self._call_later, create_task=self._create_task)
        self.waiting = 0
        self.transport = Mock(
            write=self._write,
            get_extra_info=lambda name: None,
            is_closing=lambda: False,
            get_write_buffer_size=lambda: self.waiting,
        )
        config = uvicorn.Config(Mock(), ws="none", log_config=None)
        self.protocol = with_seconds_to_read(7)(config, ServerState(), {}, loop)
        self.protocol.connection_made(self.transport)

    def _call_later(self, seconds: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        self.timers.append(Timer(seconds, partial(callback, *arguments)))
        return self.timers[-1]

    def _create_task(self, work: Any) -> Mock:
        work.close()
        self.begun.append(self.protocol.cycle)
        return Mock()

    def _write(self, data: bytes) -> None:
        self.written += data

    def running(self) -> list[float]:
        return [timer.seconds for timer in self.timers if not timer.cancelled]

    def answer(self, unread: int) -> Timer | None:
        """End a request with an answer of which this much is not read; return the time that the client has for it."""
        self.protocol.data_received(HEAD + b"{}")
        self.begun[-1].response_complete = True
        self.waiting = unread
        self.protocol.on_response_complete()
        return self.reading()

    def reading(self) -> Timer | None:
        found = [timer for timer in self.timers if timer.seconds == 7 and not timer.cancelled]
        assert len(found) <= 1
        return found[0] if found else None

    def let_time_pass(self, unread: int) -> None:
        timer = self.reading()
        assert timer
        timer.cancelled, self.waiting = True, unread
        timer.go_off()

    def refusal(self) -> tuple[bytes, str]:
        head, _, body = self.written.partition(b"\r\n\r\n")
        self.transport.close.assert_called_once()
        assert b"content-type: application/json\r\n" in head
        assert b"connection: close" in head
        return head.split(b"\r\n")[0], json.loads(body)["error"]


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.mark.parametrize("start", [b"", b"GET /v1/mod", HEAD[:-2]])
def test_a_head_that_does_not_end(connection: Connection, start: bytes) -> None:
    if start:
        connection.protocol.data_received(start)
    assert connection.running() == [HEAD_SECONDS]
    connection.timers[-1].go_off()
    assert connection.refusal() == (b"HTTP/1.1 408 Request Timeout", "The headers have not come within 30 s")


@pytest.mark.parametrize("start", [b"GET /v1/", b"GET / HTTP/1.1\r\nx: ", b"GET / HTTP/1.1\r\n"])
def test_a_head_that_is_too_large(connection: Connection, start: bytes) -> None:
    connection.protocol.data_received(start)
    for _ in range(HEAD_BYTES // 1024 - 1):
        connection.protocol.data_received(b"a" * 1024)
    assert connection.written == b""
    connection.protocol.data_received(b"a" * 1024)
    assert connection.refusal() == (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        f"The headers are larger than {HEAD_BYTES} bytes",
    )


def test_each_request_of_a_connection_has_the_whole_limit(connection: Connection) -> None:
    long = HEAD[:-2] + b"x: " + b"a" * (HEAD_BYTES - 200) + b"\r\n\r\n"
    for number in range(3):
        connection.protocol.data_received(long)
        connection.protocol.data_received(b"{}")
        assert len(connection.begun) == number + 1
        connection.begun[-1].response_complete = True
    assert connection.written == b""


def test_a_body_is_not_part_of_the_head(connection: Connection) -> None:
    connection.protocol.data_received(HEAD.replace(b": 2", b": 1000000"))
    connection.protocol.data_received(b" " * 999_999)
    assert (connection.written, connection.running()) == (b"", [])


def test_the_next_head_has_its_own_time(connection: Connection) -> None:
    connection.protocol.data_received(HEAD + b"{}")
    assert connection.running() == []
    connection.begun[-1].response_complete = True
    connection.protocol.data_received(b"GET ")
    connection.protocol.data_received(b"/v1")
    assert connection.running() == [HEAD_SECONDS]


def test_the_rest_of_a_body_that_was_refused_has_its_time(connection: Connection) -> None:
    connection.protocol.data_received(HEAD.replace(b": 2", b": 1000000"))
    connection.begun[-1].response_complete = True
    connection.protocol.on_response_complete()
    kept_alive, rest = connection.timers[-2:]
    connection.protocol.data_received(b" " * 1000)
    assert (kept_alive.cancelled, rest.cancelled, rest.seconds) == (True, False, HEAD_SECONDS)
    connection.protocol.data_received(b" " * 999_000)
    assert rest.cancelled
    connection.transport.close.assert_not_called()
    rest.go_off()
    connection.transport.close.assert_called_once()


def test_a_connection_that_ends_waits_for_nothing(connection: Connection) -> None:
    connection.protocol.connection_lost(None)
    assert connection.running() == []


def test_an_answer_that_was_read_waits_for_nobody(connection: Connection) -> None:
    assert connection.answer(unread=0) is None


def test_a_client_that_reads_nothing_loses_its_connection(connection: Connection) -> None:
    assert connection.answer(unread=10)
    connection.let_time_pass(unread=10)
    connection.transport.abort.assert_called_once()


def test_one_that_reads_has_more_time(connection: Connection) -> None:
    connection.answer(unread=3 * LEAST_BYTES)
    for left in (2 * LEAST_BYTES, LEAST_BYTES, 0):
        connection.let_time_pass(unread=left)
        connection.transport.abort.assert_not_called()
    assert connection.reading() is None


def test_one_that_reads_drop_by_drop_has_not(connection: Connection) -> None:
    connection.answer(unread=3 * LEAST_BYTES)
    connection.let_time_pass(unread=2 * LEAST_BYTES + 1)
    connection.transport.abort.assert_called_once()


def test_an_answer_that_cannot_be_written_to_its_end(connection: Connection) -> None:
    """uvicorn writes an answer in two pieces, and waits between them for room."""
    connection.protocol.data_received(HEAD + b"{}")
    connection.waiting = 100
    connection.protocol.pause_writing()
    connection.let_time_pass(unread=100)
    connection.transport.abort.assert_called_once()


def test_the_time_to_read_begins_anew_with_each_answer_and_ends_with_the_connection(connection: Connection) -> None:
    first = connection.answer(unread=10)
    second = connection.answer(unread=20)
    assert first
    assert second
    assert (first.cancelled, second.cancelled) == (True, False)
    connection.protocol.connection_lost(None)
    assert second.cancelled
