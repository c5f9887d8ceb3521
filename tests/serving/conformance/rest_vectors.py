"""How the REST vectors are written: the request as it goes over the wire, and the whole reply or its error."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

PREDICT = "/v1/models/zoo:predict"
_ELEMENT = "Failed to process element: "


@dataclass(frozen=True)
class Vector:
    """One request and what must come back.

    Args:
        name: What it shows.
        path: Path as it is sent.
        body: Text of the body.
        status: HTTP status.
        reply: The reply: its text, or what its JSON means.
        error: The message of the error, or its beginning if it ends in ``…``.
        method: HTTP method.
    """

    name: str
    path: str
    body: str | bytes = ""
    status: int = 200
    reply: Any = None
    error: str | None = None
    method: str = "POST"


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)


def ask(port: int, method: str, path: str, body: str | bytes = b"", headers: Mapping[str, str] | None = None) -> Reply:
    """Send one request and read the reply."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        sent = body.encode() if isinstance(body, str) else body
        connection.putrequest(method, path, skip_accept_encoding=True)
        for name, value in {"Content-Length": str(len(sent)), **(headers or {})}.items():
            connection.putheader(name, value)
        connection.endheaders(sent or None)
        response = connection.getresponse()
        return Reply(response.status, response.read(), {name.lower(): value for name, value in response.getheaders()})
    finally:
        connection.close()


def table(vectors: Iterable[Vector]) -> pytest.MarkDecorator:
    """Return the mark that runs a test once for each vector."""
    return pytest.mark.parametrize("vector", [pytest.param(vector, id=vector.name) for vector in vectors])


def check(port: int, vector: Vector) -> None:
    """Send a vector's request and compare the reply."""
    reply = ask(port, vector.method, vector.path, vector.body)
    assert (reply.status, reply.headers["content-type"]) == (vector.status, "application/json"), reply.body
    if vector.error is None:
        assert (reply.body.decode() if isinstance(vector.reply, str) else reply.json()) == vector.reply
        return
    found = reply.json()
    assert list(found) == ["error"]
    if vector.error.endswith("…"):
        assert found["error"].startswith(vector.error[:-1]), found
    else:
        assert found["error"] == vector.error


def bad(name: str, body: str | bytes, error: str, *, path: str = PREDICT, status: int = 400) -> Vector:
    """Return a vector of a request that is refused."""
    return Vector(name, path, body, status, error=error)


def element(number: int, message: str) -> str:
    """Return the error of one row."""
    return f"{_ELEMENT}{number} of 'instances' list. Error: INVALID_ARGUMENT: {message}"


def signed(signature: str, rest: str) -> str:
    """Return a request for a signature."""
    return f'{{"signature_name": "{signature}", {rest}}}'
