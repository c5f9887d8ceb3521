"""The REST API as an ASGI application.

The event loop reads requests and writes replies; what a request asks for is done by a thread of its own, because the
model computes there and lets go of Python's lock meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.metrics import CONTENT_TYPE, Metrics
from penstock.serving.rest.answer import Answers, Models, check_deadline
from penstock.serving.rest.body import Body, Receive, TooLargeError, TooSlowError, receive_body
from penstock.serving.rest.paths import OPERATIONS, Target, is_api, parse
from penstock.serving.rest.replies import JSON, Reply, failure, problem

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_logger = logging.getLogger(__name__)
_WEB_ORIGIN = re.compile(rb"https?://")
_CORS: Headers = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"POST, GET"),
    (b"access-control-allow-headers", b"Content-Type"),
]


@dataclass(frozen=True)
class RestLimits:
    """What the REST API takes on.

    Attributes:
        max_request_bytes: Of one body, as sent and as uncompressed. More is answered with 413.
        max_concurrency: Requests that are taken in or worked on at once, each by a thread. More are answered with 429.
        timeout_seconds: From the headers until the answer, which is 504 then, or 408 if the body was not there by then;
            TF Serving's default is 30 s.
        cors: Whether replies allow scripts of any web page to read them. Off, as in TF Serving, because a server on
            this machine is within reach of every page that its user opens.
        metrics_path: Where Prometheus finds the metrics; None for nowhere.
    """

    max_request_bytes: int = 64 << 20
    max_concurrency: int = 64
    timeout_seconds: float = 30.0
    cors: bool = False
    metrics_path: str | None = None


class RestApp:
    """The application; made by :func:`make_app`."""

    def __init__(self, models: Models, limits: RestLimits, metrics: Metrics) -> None:
        self._answers = Answers(models, metrics, limits.max_request_bytes)
        self._limits = limits
        self._metrics = metrics
        self._free = threading.BoundedSemaphore(limits.max_concurrency)
        self._threads = ThreadPoolExecutor(limits.max_concurrency, thread_name_prefix="rest")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one connection scope of ASGI."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            reply = await self._reply(scope, receive)
            if reply is not None:
                await _send(send, reply, self._headers(scope, reply))

    def close(self) -> None:
        """Take no more requests. Those that are worked on are finished."""
        self._threads.shutdown(wait=False)

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                self.close()
                return

    def _headers(self, scope: Message, reply: Reply) -> Headers:
        """Return the headers of a reply besides what says how to read it."""
        found = _CORS if self._limits.cors and reply.content_type == JSON else []
        if reply.status != 200 and any(name == b"expect" for name, _ in scope["headers"]):
            # Who asked first whether to send a body, and is refused, may send it now or not: what comes is unclear.
            return [*found, (b"connection", b"close")]
        return found

    async def _reply(self, scope: Message, receive: Receive) -> Reply | None:
        """Return the reply; None if the client has gone."""
        path, headers = scope["raw_path"].decode("latin-1"), dict(scope["headers"])
        if path == self._limits.metrics_path:
            return Reply(200, self._metrics.page().encode(), CONTENT_TYPE)
        if not is_api(path):
            return problem(404, f"Not Found: {path}")
        if scope["method"] == "OPTIONS":
            return _preflight(headers)
        if scope["query_string"]:
            path += "?" + scope["query_string"].decode("latin-1")
        return await self._api(scope["method"], path, headers, receive)

    async def _api(self, method: str, path: str, headers: Mapping[bytes, bytes], receive: Receive) -> Reply | None:
        start = perf_counter()
        model = api = ""
        code = Code.OK
        try:
            target = parse(method, path)
            model, api = target.model, target.action if target.action in OPERATIONS else ""
            answer = await self._answer(target, headers, receive if api else None)
            reply = None if answer is None else Reply(200, answer)
        except TooLargeError as error:
            code, reply = Code.RESOURCE_EXHAUSTED, problem(413, str(error))
        except TooSlowError as error:
            code, reply = Code.DEADLINE_EXCEEDED, problem(408, str(error))
        except asyncio.CancelledError:
            # The web server cancels what the drain left over, and would answer 500 with a traceback.
            code = Code.UNAVAILABLE
            reply = problem(503, "The server is stopping, and this request took too long for it")
        except ServingError as error:
            code, reply = error.code, failure(error)
        if reply is not None:
            self._metrics.request(model, api, "REST", perf_counter() - start, code)
        return reply

    async def _answer(self, target: Target, headers: Mapping[bytes, bytes], receive: Receive | None) -> bytes | None:
        """Return the text of the answer; None if the client has gone."""
        limits = self._limits
        if not self._free.acquire(blocking=False):
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, f"More than {limits.max_concurrency} requests at once; try again later"
            )
        deadline = time.monotonic() + limits.timeout_seconds
        # The place is taken before the body, or callers could send as many bodies at once as they like.
        with ExitStack() as place:
            place.callback(self._free.release)
            body = await self._body(headers, receive) if receive else Body(b"")
            if body is None:
                return None
            work = self._threads.submit(self._work, target, body, deadline)
            # A request that ran out of time keeps its place until its thread is done.
            leave = place.pop_all().close
        work.add_done_callback(lambda _: leave())
        try:
            async with asyncio.timeout(deadline - time.monotonic()):
                return await asyncio.wrap_future(work)
        except TimeoutError as error:
            raise ServingError(Code.DEADLINE_EXCEEDED, "Timed out waiting for notification") from error

    async def _body(self, headers: Mapping[bytes, bytes], receive: Receive) -> Body | None:
        seconds = self._limits.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                return await receive_body(headers, receive, self._limits.max_request_bytes)
        except TimeoutError as error:
            raise TooSlowError(seconds) from error

    def _work(self, target: Target, body: Body, deadline: float) -> bytes:
        check_deadline(deadline)
        return self._answers.answer(target, body.text(self._limits.max_request_bytes), deadline)


def make_app(models: Models, limits: RestLimits, metrics: Metrics) -> RestApp:
    """Return the REST API of a manager's models.

    Args:
        models: The manager.
        limits: What to take on.
        metrics: What to count requests with, and to show at ``limits.metrics_path``.
    """
    return RestApp(models, limits, metrics)


def _preflight(headers: Mapping[bytes, bytes]) -> Reply:
    if _WEB_ORIGIN.search(headers.get(b"origin", b"")):
        return Reply(200, b"")
    return failure(ServingError(Code.FAILED_PRECONDITION, "Origin header is missing in CORS preflight"))


async def _send(send: Send, reply: Reply, extra: Headers) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *extra,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
