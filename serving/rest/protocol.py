"""HTTP for uvicorn with limits on the head of a request, and whose own complaints are JSON too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from penstock.serving.rest.replies import JSON, problem

HEAD_BYTES = 64 << 10
"""Bytes of the request line and the headers. Those that come in one piece with the last one may be a few more."""
LEAST_BYTES = 256 << 10
"""What a client must take of its answers in the time that it has, if it does not take all."""
HEAD_SECONDS = 30.0
"""From the first byte of a head, or from the connection, to the end of the head. As long may a body go on that was
refused."""


class JsonErrors(HttpToolsProtocol):
    """Give it to ``uvicorn.Config`` as ``http``; :func:`with_seconds_to_read` makes one with another limit.

    uvicorn bounds neither the size of a head nor the time that it takes: one connection could have all memory. And what
    is left of a request that was answered early is read and thrown away, for some time: if the connection ended with
    bytes on the way, the client's system would throw away the answer. Nor does it bound the time that a client takes to
    read: an answer that nobody reads would keep its memory and its connection for ever.

    Attributes:
        read_seconds: In this time a client takes the answers that wait for it, or at least ``LEAST_BYTES`` of them.
    """

    read_seconds = 30.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._reader: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As in uvicorn.
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._start_timer(self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._stop_timer()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._in_head:
            self._start_timer(self._head_is_late)
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"The headers are larger than {HEAD_BYTES} bytes")

    def on_headers_complete(self) -> None:
        """Begin the request."""
        self._stop_timer()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect another one."""
        self._stop_timer()
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expect the rest of the request, if there is any, and that the answer is read, for some time."""
        self._watch_reader()
        super().on_response_complete()
        if not self._in_head:
            self._start_timer(self.transport.close)

    def pause_writing(self) -> None:
        """Expect that the client reads."""
        self._watch_reader()
        super().pause_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as a request, and close the connection."""
        self._refuse(HTTPStatus.BAD_REQUEST, msg)

    def _start_timer(self, late: Callable[[], None]) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_SECONDS, late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch_reader(self) -> None:
        """Give the client the whole time from now on, if anything waits for it."""
        self._stop_watching()
        waiting = self.transport.get_write_buffer_size()
        if waiting:
            self._reader = self.loop.call_later(self.read_seconds, self._end_unless_read, waiting)

    def _stop_watching(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _end_unless_read(self, before: int) -> None:
        self._reader = None
        waiting = self.transport.get_write_buffer_size()
        if waiting > before - LEAST_BYTES and waiting:
            self.transport.abort()
        else:
            self._watch_reader()

    def _head_is_late(self) -> None:
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, f"The headers have not come within {HEAD_SECONDS:g} s")

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        body = problem(status, message).body
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: {JSON}\r\ncontent-length: {len(body)}\r\n"
            "connection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def with_seconds_to_read(seconds: float) -> type[JsonErrors]:
    """Return the protocol with another ``read_seconds``."""

    class WithSeconds(JsonErrors):
        read_seconds = seconds

    return WithSeconds
