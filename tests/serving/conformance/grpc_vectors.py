"""How the gRPC vectors are written: requests and replies as text protos, put together by small functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf import text_format

INVALID, NOT_FOUND, PRECONDITION, UNIMPLEMENTED, EXHAUSTED = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass(frozen=True)
class Vector:
    """One request and what must come back.

    Args:
        name: What it shows.
        request: Text proto of the request.
        reply: Text proto of the whole reply, if it succeeds.
        code: Status of the call, if it fails.
        message: The whole message of the status, or its beginning if it ends in ``…``.
    """

    name: str
    request: str
    reply: str = ""
    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""


def table(vectors: Iterable[Vector]) -> Any:
    """Return the decorator that runs a test once for each vector."""
    rows = list(vectors)
    assert len({vector.name for vector in rows}) == len(rows)
    return pytest.mark.parametrize("vector", rows, ids=lambda vector: vector.name)


def check(vector: Vector, method: Any, request: Any, reply: Any) -> None:
    """Send a vector's request through a stub's method and compare.

    Args:
        vector: The vector.
        method: The stub's method.
        request: An empty request.
        reply: An empty reply.
    """
    text_format.Parse(vector.request, request)
    if vector.code == grpc.StatusCode.OK:
        assert method(request, timeout=120) == text_format.Parse(vector.reply, reply)
        return
    with pytest.raises(grpc.RpcError) as caught:
        method(request, timeout=120)
    status: Any = caught.value
    assert (status.code(), _cut(status.details(), vector.message)) == (vector.code, vector.message.rstrip("…"))


def _cut(text: str, expected: str) -> str:
    return text[: len(expected) - 1] if expected.endswith("…") else text


def spec(name: str = "zoo", signature: str = "", *, version: int | None = None, label: str = "") -> str:
    """Return a ``model_spec``."""
    parts = [f'name: "{name}"'] if name else []
    parts += [f'signature_name: "{signature}"'] if signature else []
    parts += [f"version {{ value: {version} }}"] if version is not None else []
    parts += [f'version_label: "{label}"'] if label else []
    return f"model_spec {{ {' '.join(parts)} }}"


def answered(signature: str = "serving_default", version: int = 3, name: str = "zoo") -> str:
    """Return the ``model_spec`` of a reply."""
    return spec(name, signature, version=version)


def tensor(values: str, shape: Iterable[int] = (2,), dtype: str = "FLOAT") -> str:
    """Return the fields of a ``TensorProto``."""
    return f"dtype: DT_{dtype} tensor_shape {{ {' '.join(f'dim {{ size: {size} }}' for size in shape)} }} {values}"


def floats(*values: float) -> str:
    """Return the fields of a vector of floats."""
    return tensor(f"float_val: [{', '.join(map(str, values))}]", (len(values),))


def inputs(**tensors: str) -> str:
    """Return the ``inputs`` of a request."""
    return " ".join(f'inputs {{ key: "{name}" value {{ {text} }} }}' for name, text in tensors.items())


def outputs(**tensors: str) -> str:
    """Return the ``outputs`` of a reply."""
    return inputs(**tensors).replace("inputs {", "outputs {")


def examples(*features: str, context: str | None = None) -> str:
    """Return an ``input`` of records, each given as ``name=value name=value``."""
    records = " ".join(f"examples {{ {_features(text)} }}" for text in features)
    if context is None:
        return f"input {{ example_list {{ {records} }} }}"
    return f"input {{ example_list_with_context {{ {records} context {{ {_features(context)} }} }} }}"


def _features(text: str) -> str:
    pairs = [item.split("=") for item in text.split()]
    inner = " ".join(
        f'feature {{ key: "{name}" value {{ float_list {{ value: {value} }} }} }}' for name, value in pairs
    )
    return f"features {{ {inner} }}"
