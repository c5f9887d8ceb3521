"""The JSON document of a request, by the fastest reader that takes it."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest import parser
from penstock.serving.rest.describe import show

LONGEST_EXPLAINED = 1 << 20
"""Bytes that the slow reader is given. Else one request of the largest size keeps a processor busy for a minute."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACE = re.compile(r"[ \n\r\t]*")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LENIENT = json.JSONDecoder(parse_int=parser.integer, parse_float=parser.real)


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
    except orjson.JSONDecodeError as error:
        reason, at = error.msg, error.pos
    body = body.removeprefix(_BYTE_ORDER_MARK)
    try:
        return _lenient(body)
    except json.JSONDecodeError as error:
        reason, at = error.msg, len(error.doc[: error.pos].encode())
    except UnicodeDecodeError as error:
        reason, at = "Invalid UTF-8", error.start
    except (ValueError, OverflowError, RecursionError):
        pass  # Half a surrogate pair, too large a number, too deep: orjson has said so.
    if len(body) > LONGEST_EXPLAINED:
        raise ServingError(Code.INVALID_ARGUMENT, f"JSON Parse error: {reason} at offset: {at}")
    return parser.parse(body)


def _lenient(body: bytes) -> Any:
    """Read NaN and Infinity, and what stands before text that is no JSON, with Python's reader.

    Raises:
        ValueError: It is no such text. A ``json.JSONDecodeError`` says what is wrong, and where.
        OverflowError: A number is too large.
        RecursionError: It is nested too deeply.
    """
    text = body.decode()
    start = _SPACE.match(text)
    document, _ = _LENIENT.raw_decode(text, start.end() if start else 0)
    if _SURROGATE.search(body):
        json.dumps(document, ensure_ascii=False).encode()  # Python takes one half of a pair alone; this does not.
    return document
