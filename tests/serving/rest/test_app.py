from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.metrics import Metrics
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.rest.app import RestApp, RestLimits, make_app
from penstock.serving.rest.paths import Target
from tests.serving.rest.fakes import FLOAT, STRING, FakeModel, FakeModels, half_plus_two

_PREDICT = "/v1/models/m:predict"
_BODY = b'{"instances": [1, 3]}'
_ORIGIN = {"origin": "https://example.org"}


class Client:
    """Calls an application as a server does, one event loop a call."""

    def __init__(self, limits: RestLimits, **models: FakeModel) -> None:
        self.metrics = Metrics()
        for name in models:
            self.metrics.state_changed(name, VersionStatus(1, State.AVAILABLE))
        self.app: RestApp = make_app(FakeModels(**models), limits, self.metrics)

    def ask(self, method: str, path: str, *chunks: bytes, headers: Mapping[str, str] | None = None) -> Any:
        return asyncio.run(self.call(method, path, *chunks, headers=headers))

    async def call(
        self, method: str, path: str, *chunks: bytes, headers: Mapping[str, str] | None = None, receive: Any = None
    ) -> Any:
        """Return status, headers and body; None if nothing was sent."""
        sent: list[Any] = []
        left = [{"type": "http.request", "body": c, "more_body": True} for c in chunks]
        left.append({"type": "http.request", "body": b"", "more_body": False})

        async def receive_chunk() -> Any:
            return left.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "raw_path": raw.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        if chunks == (b"gone",):
            left[0] = {"type": "http.disconnect"}
        await self.app(scope, receive or receive_chunk, send)
        if not sent:
            return None
        start, body = sent
        return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, body["body"]


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(RestLimits(max_request_bytes=100), m=FakeModel(half_plus_two, {"x": FLOAT}))
    yield client
    client.app.close()


def _failing(error: Exception, limits: RestLimits | None = None) -> Client:
    def function(inputs: Mapping[str, Any]) -> dict[str, Any]:
        raise error

    return Client(limits or RestLimits(), m=FakeModel(function, {"x": FLOAT}))


def test_predict(client: Client) -> None:
    status, headers, body = client.ask("POST", _PREDICT, _BODY[:7], _BODY[7:])
    assert (status, body) == (200, b'{\n    "predictions": [2.5, 3.5\n    ]\n}')
    assert headers == {"content-type": "application/json", "content-length": str(len(body))}


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (Code.INVALID_ARGUMENT, 400), (Code.FAILED_PRECONDITION, 400), (Code.OUT_OF_RANGE, 400),
        (Code.UNAUTHENTICATED, 401), (Code.PERMISSION_DENIED, 403), (Code.NOT_FOUND, 404), (Code.ALREADY_EXISTS, 409),
        (Code.ABORTED, 409), (Code.RESOURCE_EXHAUSTED, 429), (Code.CANCELLED, 499), (Code.UNKNOWN, 500),
        (Code.INTERNAL, 500), (Code.DATA_LOSS, 500), (Code.UNIMPLEMENTED, 501), (Code.UNAVAILABLE, 503),
        (Code.DEADLINE_EXCEEDED, 504),
    ],
)  # fmt: skip
def test_the_status_of_each_code(code: Code, status: int) -> None:
    client = _failing(ServingError(code, 'it is "bad"'))
    found, headers, body = client.ask("POST", _PREDICT, _BODY)
    assert (found, headers["content-type"]) == (status, "application/json")
    assert body == b'{\n    "error": "it is \\"bad\\""\n}'
    assert f'model_name="m",status="{code.name}"' in client.metrics.page()


def test_what_nobody_foresaw_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        status, _, body = _failing(KeyError("secret")).ask("POST", _PREDICT, _BODY)
    assert (status, json.loads(body)) == (500, {"error": "Internal error: KeyError; see the server's log"})
    assert "a predict request for model 'm' failed" in caplog.text
    assert "secret" in caplog.text


def test_a_request_that_takes_too_long() -> None:
    release, started = threading.Event(), threading.Event()

    def slow(inputs: Mapping[str, Any]) -> dict[str, Any]:
        started.set()
        release.wait()
        return half_plus_two(inputs)

    client = Client(RestLimits(timeout_seconds=0.5, max_concurrency=1), m=FakeModel(slow, {"x": FLOAT}))
    while not started.is_set():
        # On a busy machine the time may be up before the model is called; such a request leaves its place later.
        status, _, body = client.ask("POST", _PREDICT, _BODY)
        assert status == 429 or (status, json.loads(body)) == (504, {"error": "Timed out waiting for notification"})
    assert status == 504
    status, _, body = client.ask("POST", _PREDICT, _BODY)
    assert (status, json.loads(body)) == (429, {"error": "More than 1 requests at once; try again later"})
    release.set()
    client.app.close()


def test_more_requests_than_are_worked_on_at_once() -> None:
    release, started = threading.Event(), threading.Event()

    def slow(inputs: Mapping[str, Any]) -> dict[str, Any]:
        started.set()
        release.wait()
        return half_plus_two(inputs)

    client = Client(RestLimits(max_concurrency=1), m=FakeModel(slow, {"x": FLOAT}))

    async def both() -> tuple[Any, Any]:
        first = asyncio.create_task(client.call("POST", _PREDICT, _BODY))
        await asyncio.to_thread(started.wait)
        second = await client.call("POST", _PREDICT, _BODY)
        release.set()
        return await first, second

    first, second = asyncio.run(both())
    assert (first[0], second[0]) == (200, 429)
    assert client.ask("POST", _PREDICT, _BODY)[0] == 200


def test_a_request_that_the_web_server_cancels_when_it_stops() -> None:
    release, started = threading.Event(), threading.Event()

    def slow(inputs: Mapping[str, Any]) -> dict[str, Any]:
        started.set()
        release.wait()
        return half_plus_two(inputs)

    client = Client(RestLimits(), m=FakeModel(slow, {"x": FLOAT}))

    async def cancelled() -> Any:
        request = asyncio.create_task(client.call("POST", _PREDICT, _BODY))
        await asyncio.to_thread(started.wait)
        request.cancel()
        return await request

    status, _, body = asyncio.run(cancelled())
    release.set()
    client.app.close()
    assert (status, json.loads(body)) == (
        503,
        {"error": "The server is stopping, and this request took too long for it"},
    )
    assert 'model_name="m",status="UNAVAILABLE"' in client.metrics.page()


@pytest.mark.parametrize("chunks", [(b" " * 101,), (b" " * 60, b" " * 60)])
def test_a_body_that_is_too_large(client: Client, chunks: tuple[bytes, ...]) -> None:
    status, headers, body = client.ask("POST", _PREDICT, *chunks)
    assert (status, json.loads(body)) == (413, {"error": "The request's body is larger than 100 bytes"})
    assert "connection" not in headers
    assert 'model_name="m",status="RESOURCE_EXHAUSTED"' in client.metrics.page()


@pytest.mark.parametrize(
    ("path", "body", "connection"),
    [(_PREDICT, _BODY, None), (_PREDICT, b"{", "close"), (_PREDICT, b" " * 101, "close"), ("/x", b"{}", "close")],
)
def test_a_refusal_ends_the_connection_of_who_asked_whether_to_send_a_body(
    client: Client, path: str, body: bytes, connection: str | None
) -> None:
    _, headers, _ = client.ask("POST", path, body, headers={"expect": "100-continue"})
    assert headers.get("connection") == connection
    assert "connection" not in client.ask("POST", path, body)[1]


def test_a_client_that_has_gone(client: Client) -> None:
    assert client.ask("POST", _PREDICT, b"gone") is None
    assert "request_count" not in client.metrics.page()
    # It took no place with it.
    for _ in range(100):
        assert client.ask("POST", _PREDICT, b"gone") is None
    assert client.ask("POST", _PREDICT, _BODY)[0] == 200


class Sending:
    """A client that sends its body when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def receive(self) -> Any:
        self.asked.set()
        await self.go_on.wait()
        return {"type": "http.request", "body": _BODY}


def test_a_body_is_not_taken_in_without_a_place() -> None:
    client = Client(RestLimits(max_concurrency=1), m=FakeModel(half_plus_two, {"x": FLOAT}))

    async def both() -> tuple[Any, Any]:
        first, second = Sending(), Sending()
        waiting = asyncio.create_task(client.call("POST", _PREDICT, receive=first.receive))
        await first.asked.wait()
        refused = await client.call("POST", _PREDICT, receive=second.receive)
        assert not second.asked.is_set()
        first.go_on.set()
        return await waiting, refused

    answered, refused = asyncio.run(both())
    assert (answered[0], refused[0]) == (200, 429)
    assert client.ask("POST", _PREDICT, _BODY)[0] == 200


def test_a_body_that_does_not_come() -> None:
    limits = RestLimits(timeout_seconds=0.01, max_concurrency=1)
    client = Client(limits, m=FakeModel(half_plus_two, {"x": FLOAT}))

    async def wait() -> Any:
        return await client.call("POST", _PREDICT, receive=Sending().receive)

    for _ in range(2):
        status, _, body = asyncio.run(wait())
        assert (status, json.loads(body)) == (408, {"error": "The request's body has not come within 0.01 s"})
    assert 'model_name="m",status="DEADLINE_EXCEEDED"} 2' in client.metrics.page()


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    called = []

    def note(inputs: Mapping[str, Any]) -> dict[str, Any]:
        called.append(inputs)
        return half_plus_two(inputs)

    client = Client(RestLimits(), m=FakeModel(note, {"x": FLOAT}))
    late = Target("m", None, None, "predict")
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED: Timed out waiting for notification"):
        client.app._answers.answer(late, _BODY, deadline=0.0)
    assert not called
    assert client.app._answers.answer(late, _BODY) == client.ask("POST", _PREDICT, _BODY)[2]
    assert len(called) == 2


def test_a_context_is_counted_once_for_each_example() -> None:
    client = Client(RestLimits(max_request_bytes=1000), m=FakeModel(half_plus_two, {"inputs": STRING}))
    body = json.dumps({"context": {"c": "x" * 100}, "examples": [{}] * 20}).encode()
    status, _, answer = client.ask("POST", "/v1/models/m:classify", body)
    assert status == 429
    assert json.loads(answer)["error"].startswith("Request larger than max when expanded (")


def test_replies_may_be_read_by_web_pages_if_that_is_wanted() -> None:
    client = Client(RestLimits(cors=True, metrics_path="/m"), m=FakeModel(half_plus_two, {"x": FLOAT}))
    for method, path, chunks in (("OPTIONS", _PREDICT, []), ("POST", _PREDICT, [_BODY]), ("GET", "/v1/x", [])):
        _, headers, _ = client.ask(method, path, *chunks, headers=_ORIGIN)
        assert headers["access-control-allow-origin"] == "*"
        assert headers["access-control-allow-methods"] == "POST, GET"
        assert headers["access-control-allow-headers"] == "Content-Type"
    assert "access-control-allow-origin" not in client.ask("GET", "/m", headers=_ORIGIN)[1]


def test_no_metrics_unless_they_are_wanted(client: Client) -> None:
    status, _, body = client.ask("GET", "/monitoring/prometheus/metrics")
    assert (status, json.loads(body)) == (404, {"error": "Not Found: /monitoring/prometheus/metrics"})


def test_status_and_labels(client: Client) -> None:
    assert json.loads(client.ask("GET", "/v1/models/m/labels/any")[2])["model_version_status"][0]["version"] == "1"
    assert client.ask("POST", "/v1/models/m/labels/stable:predict", _BODY)[0] == 200
    assert client.ask("GET", "/v1/models/m?x")[0] == 404


def test_the_end_of_the_server_ends_its_threads(client: Client) -> None:
    sent: list[Any] = []
    left = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return left.pop(0)

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(client.app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
