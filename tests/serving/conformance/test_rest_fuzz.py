"""Whatever a client sends: an answer or its own mistake told in JSON; never a 500, never a traceback."""

from __future__ import annotations

import json
import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.serving.server import Ports
from tests.serving.conformance.models import DTYPES
from tests.serving.conformance.rest_vectors import Reply, ask

_SIGNATURES = [
    "serving_default",
    "two",
    "scalar",
    "matrix",
    "words",
    "number",
    "divide",
    "regress",
    "classify",
    "nope",
    "",
] + [f"echo_{dtype}" for dtype in DTYPES]
_leaf = (
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=5)
    | st.sampled_from([{"b64": "YQ=="}, {"b64": "?"}, {"b64": 1}, {}])
)  # fmt: skip
_value = st.recursive(
    _leaf,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["x", "a", "b", "s", "b64"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_document = st.fixed_dictionaries(
    {},
    optional={
        "signature_name": st.sampled_from(_SIGNATURES) | _leaf,
        "instances": _value | st.lists(_value, max_size=3),
        "inputs": _value,
        "examples": _value | st.lists(_value, max_size=3),
        "context": _value,
    },
)
_operation = st.sampled_from(["predict", "classify", "regress"])
_many = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def port(ports: Ports) -> int:
    assert ports.rest
    return ports.rest


def _is_an_answer_or_a_clients_mistake(reply: Reply) -> None:
    assert reply.status in (200, 400, 404, 413, 501), (reply.status, reply.body)
    assert reply.headers["content-type"] == "application/json"
    assert b"Traceback" not in reply.body
    found: Any = json.loads(reply.body.decode())
    if reply.status != 200:
        assert list(found) == ["error"]
        assert isinstance(found["error"], str)


@_many
@given(operation=_operation, document=_document)
def test_documents(port: int, operation: str, document: dict[str, Any]) -> None:
    _is_an_answer_or_a_clients_mistake(ask(port, "POST", f"/v1/models/zoo:{operation}", json.dumps(document)))


@_many
@given(operation=_operation, document=_document, data=st.data())
def test_damaged_documents(port: int, operation: str, document: dict[str, Any], data: st.DataObject) -> None:
    body = bytearray(json.dumps(document).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    body[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reply = ask(port, "POST", f"/v1/models/zoo:{operation}", bytes(body))
    if reply.status == 200:  # Strings may come back as the bytes that they were.
        return
    _is_an_answer_or_a_clients_mistake(reply)


@_many
@given(operation=_operation, body=st.binary(max_size=50))
def test_bytes(port: int, operation: str, body: bytes) -> None:
    _is_an_answer_or_a_clients_mistake(ask(port, "POST", f"/v1/models/zoo:{operation}", body))


@_many
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]),
    path=st.lists(
        st.sampled_from(["/v1", "/models", "/zoo", "/versions", "/labels", "/metadata", "/2", "/stable", ":predict"])
        | st.text(alphabet=string.ascii_letters + string.digits + "/:%?&=.-_~+*!$'();,@[]", max_size=6),
        max_size=7,
    ).map("".join),
)
def test_paths(port: int, method: str, path: str) -> None:
    reply = ask(port, method, "/" + path.lstrip("/"), '{"instances": [1]}' if method == "POST" else "")
    _is_an_answer_or_a_clients_mistake(reply)
