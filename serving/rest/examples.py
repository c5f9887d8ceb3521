"""A classify or regress request's document ↔ the official messages that the inference functions take and give."""

from __future__ import annotations

from typing import Any

import numpy as np

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest.describe import show, type_name
from penstock.serving.rest.encode import numbers, quote
from penstock.serving.rest.values import b64_bytes, is_b64

_LISTS = {"bytes": "bytes_list", "float": "float_list", "int64": "int64_list"}


def fill(sent: Any, document: dict[str, Any]) -> None:
    """Write a request's examples into an ``Input`` message.

    Args:
        sent: An empty ``tensorflow.serving.Input``.
        document: The request.

    Raises:
        ServingError: INVALID_ARGUMENT, in TensorFlow Serving's words.
    """
    context = document.get("context")
    if "context" in document:
        _fill_example(sent.example_list_with_context.context, context)
    examples = _examples(document)
    target = sent.example_list_with_context if "context" in document else sent.example_list
    for example in examples:
        _fill_example(target.examples.add(), example)


def _examples(document: dict[str, Any]) -> list[Any]:
    if "examples" not in document:
        # It says classify whatever was asked for, and clients may have learned it by heart.
        raise _invalid(
            f"JSON Value: {show(document)} When method is classify, key 'examples' is expected and was not found"
        )
    examples = document["examples"]
    if not isinstance(examples, list):
        raise _invalid(f"JSON Value: {show(document)} Expecting 'examples' value to be an list/array")
    if not examples:
        raise _invalid(f"JSON Value: {show(document)} 'examples' value is an empty array")
    return examples


def _fill_example(example: Any, value: Any) -> None:
    if not isinstance(value, dict):
        raise _invalid(f"Example must be JSON object but got JSON {type_name(value)}")
    features = example.features.feature
    for name, content in value.items():
        key = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        items = content if isinstance(content, list) else [content]
        kind, converted = _feature(name, items)
        if kind is None:
            features[key].SetInParent()
        else:
            getattr(features[key], _LISTS[kind]).value.extend(converted)


def _feature(name: str, items: list[Any]) -> tuple[str | None, list[Any]]:
    """Return the kind of a feature, which its first element decides, and its elements."""
    kind: str | None = None
    converted = []
    for item in items:
        found = _kind(name, item)
        if kind not in (None, found):
            raise _invalid(f"Unexpected element type in feature: {name} expecting type: {kind}")
        kind = found
        converted.append(_convert(name, item, found))
    if kind == "float":
        with np.errstate(over="ignore"):
            return kind, np.array(converted, np.float64).astype(np.float32).tolist()
    return kind, converted


def _kind(name: str, item: Any) -> str:
    if isinstance(item, bool | int):
        return "int64"
    if isinstance(item, float):
        return "float"
    if isinstance(item, str) or is_b64(item):
        return "bytes"
    raise _invalid(f"Feature: {name} has element with unexpected JSON type: {type_name(item)}")


def _convert(name: str, item: Any, kind: str) -> Any:
    if kind == "int64":
        if item >= 2**63:
            raise _invalid(f"Feature: {name} has uint64_t element. Only int64_t is supported.")
        return int(item)
    if kind == "bytes":
        return item.encode("utf-8", "surrogateescape") if isinstance(item, str) else b64_bytes(item)
    return item


def classifications(result: Any) -> bytes:
    """Return a ``ClassificationResult`` as the JSON of a reply.

    Raises:
        ServingError: INVALID_ARGUMENT: it is empty.
    """
    if not result.classifications:
        raise _invalid("Cannot convert empty ClassificationResults to JSON")
    rows = []
    for row in result.classifications:
        scores = _floats([one.score for one in row.classes])
        pairs = zip((quote(one.label.encode()) for one in row.classes), scores, strict=True)
        rows.append(b"[" + b", ".join(b"[" + label + b", " + score + b"]" for label, score in pairs) + b"]")
    return b'{\n    "results": [' + b", ".join(rows) + b"\n    ]\n}"


def regressions(result: Any) -> bytes:
    """Return a ``RegressionResult`` as the JSON of a reply.

    Raises:
        ServingError: INVALID_ARGUMENT: it is empty.
    """
    if not result.regressions:
        raise _invalid("Cannot convert empty RegressionResults to JSON")
    return b'{\n    "results": [' + b", ".join(_floats([one.value for one in result.regressions])) + b"]\n}"


def _floats(values: list[float]) -> list[bytes]:
    return numbers(np.array(values, np.float32))[1:-1].split(b",") if values else []


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
