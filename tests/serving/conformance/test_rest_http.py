"""REST below the JSON: methods, headers, limits, what is no HTTP, and metrics."""

from __future__ import annotations

import gzip
import json
import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.serving.rest.protocol import HEAD_BYTES
from penstock.serving.server import Ports
from tests.serving.conformance.conftest import LARGEST_REQUEST
from tests.serving.conformance.rest_vectors import PREDICT, ask

_BODY = b'{"instances": [1]}'


@pytest.fixture
def port(ports: Ports) -> int:
    assert ports.rest
    return ports.rest


def _raw(port: int, request: bytes) -> tuple[bytes, bytes]:
    """Send bytes and return the head and the body of what comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as connection:
        connection.sendall(request)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    "request_line",
    [b"nonsense", b"GET", b"GET /v1/models/zoo HTTP/9.9", b"POST  HTTP/1.1", b"GET /v1/models/\xc3\xbc HTTP/1.1",
     b"GET /v1/models/\xff HTTP/1.1", b"\x16\x03\x01"],
)  # fmt: skip
def test_what_is_no_http(port: int, request_line: bytes) -> None:
    head, body = _raw(port, request_line + b"\r\nHost: x\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/json" in head.lower()
    assert json.loads(body) == {"error": "Invalid HTTP request received."}


def test_a_chunked_body(port: int) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (_BODY[:5], _BODY[5:])) + b"0\r\n\r\n"
    head, body = _raw(
        port,
        f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        + chunks,
    )
    assert head.startswith(b"HTTP/1.1 200 ")
    assert json.loads(body) == {"predictions": [4.5]}


_AGAIN = (
    f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY
)


@pytest.mark.parametrize("size", [LARGEST_REQUEST + 1, 20 * LARGEST_REQUEST])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_too_large(port: int, size: int, *, chunked: bool) -> None:
    """Who sends it all before reading gets the answer nevertheless, and may go on."""
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()
    if chunked:
        part = b" " * (1 << 16)
        count, rest = divmod(size, len(part))
        chunks = [b"%x\r\n%b\r\n" % (len(part), part)] * count + [b"%x\r\n%b\r\n" % (rest, b" " * rest)] * bool(rest)
        sent = head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\n\r\n"
    else:
        sent = head + b"Content-Length: %d\r\n\r\n" % size + b" " * size
    first, rest_of_it = _raw(port, sent + _AGAIN)
    assert first.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" not in first
    error, _, second = rest_of_it.partition(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(error) == {"error": f"The request's body is larger than {LARGEST_REQUEST} bytes"}
    assert second.endswith(b'{\n    "predictions": [4.5\n    ]\n}')


def test_who_asks_first_whether_to_send_a_body_that_is_too_large(port: int) -> None:
    length = LARGEST_REQUEST + 1
    head, body = _raw(
        port, f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n".encode()
    )
    assert head.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in head
    assert json.loads(body) == {"error": f"The request's body is larger than {LARGEST_REQUEST} bytes"}


def test_the_largest_body(port: int) -> None:
    reply = ask(port, "POST", PREDICT, _BODY.ljust(LARGEST_REQUEST))
    assert (reply.status, reply.json()) == (200, {"predictions": [4.5]})


def test_one_connection_serves_many_requests(port: int) -> None:
    one = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(_BODY)}\r\n\r\n".encode() + _BODY
    _, rest = _raw(port, one * 2 + b"GET /v1/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert rest.count(b'"predictions": [4.5') == 2
    assert rest.endswith(b'{\n    "error": "Malformed request: GET /v1/x"\n}')


def test_headers_that_are_too_large(port: int) -> None:
    head, body = _raw(port, b"GET /v1/models/zoo HTTP/1.1\r\nHost: x\r\nX: ".ljust(HEAD_BYTES + 1, b"x"))
    assert head.startswith(b"HTTP/1.1 431 ")
    assert json.loads(body) == {"error": "The headers are larger than 65536 bytes"}


def test_gzip(port: int) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert ask(port, "POST", PREDICT, gzip.compress(_BODY, mtime=0), headers).json() == {"predictions": [4.5]}


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (
            _BODY,
            400,
            "Failed to uncompress the gzipped body: Error -3 while decompressing data: incorrect header check",
        ),
        (gzip.compress(_BODY, mtime=0)[:-4], 400, "Failed to uncompress the gzipped body: it is incomplete"),
        (b"", 400, "Failed to uncompress the gzipped body: it is incomplete"),
        (
            gzip.compress(b" " * (LARGEST_REQUEST + 1), mtime=0),
            413,
            f"The request's body is larger than {LARGEST_REQUEST} bytes",
        ),
    ],
)
def test_gzip_that_is_none_or_a_bomb(port: int, body: bytes, status: int, error: str) -> None:
    reply = ask(port, "POST", PREDICT, body, {"Content-Encoding": "gzip"})
    assert (reply.status, reply.json()) == (status, {"error": error})


def test_the_content_type_of_a_request_does_not_matter(port: int) -> None:
    assert ask(port, "POST", PREDICT, _BODY, {"Content-Type": "text/plain"}).status == 200


def test_preflight(port: int) -> None:
    reply = ask(port, "OPTIONS", PREDICT, headers={"Origin": "https://example.org"})
    assert (reply.status, reply.body) == (200, b"")
    assert "access-control-allow-origin" not in reply.headers


@pytest.mark.parametrize("headers", [{}, {"Origin": "null"}])
def test_preflight_without_an_origin(port: int, headers: dict[str, str]) -> None:
    reply = ask(port, "OPTIONS", PREDICT, headers=headers)
    assert (reply.status, reply.json()) == (400, {"error": "Origin header is missing in CORS preflight"})


def test_metrics(port: int) -> None:
    ask(port, "POST", PREDICT, _BODY)
    ask(port, "POST", PREDICT, "{}")
    reply = ask(port, "GET", "/monitoring/prometheus/metrics")
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(reply.body.decode())}
    counted = {
        (sample.labels["model_name"], sample.labels["status"])
        for sample in families[":tensorflow:serving:request_count"].samples
    }
    assert {("zoo", "OK"), ("zoo", "INVALID_ARGUMENT")} <= counted
    latencies = families[":tensorflow:serving:request_latency"].samples
    assert any(s.labels["API"] == "predict" and s.labels["entrypoint"] == "REST" for s in latencies)
