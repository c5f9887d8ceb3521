"""The JSON document of a request, by the fastest reader that takes it."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest import parser
from penstock.serving.rest.describe import show

_SURPRISES = re.compile(rb"[0-9]{19}|[eE]\+?[0-9]{3}|\\u[dD][89a-fA-F]")
"""Where Python's reader takes more than TensorFlow Serving, or other than it: huge numbers, lone surrogates."""


def read(body: bytes) -> dict[str, Any]:
    """Return the object that a request's body is.

    Raises:
        ServingError: INVALID_ARGUMENT: it is empty, no JSON, or no object.
    """
    if not body:
        raise ServingError(Code.INVALID_ARGUMENT, "JSON Parse error: The document is empty")
    document = _parse(body)
    if not isinstance(document, dict):
        raise ServingError(Code.INVALID_ARGUMENT, f"JSON Value: {show(document)} Is not object")
    return document


def signature_name(document: dict[str, Any]) -> str | None:
    """Return the signature that a request names; None for the default, which an empty name means as well.

    Raises:
        ServingError: INVALID_ARGUMENT: the name is no string.
    """
    name = document.get("signature_name")
    if "signature_name" in document and not isinstance(name, str):
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"JSON Value: {show(document)} not formatted correctly. 'signature_name' key must be a string value.",
        )
    return name or None


def _parse(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # It may still be something that only the others take, or that only the last one explains.
    if (b"NaN" in body or b"Infinity" in body) and not _SURPRISES.search(body):
        try:
            return json.loads(body.decode())
        except (ValueError, RecursionError):
            pass
    return parser.parse(body)
