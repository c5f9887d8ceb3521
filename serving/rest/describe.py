"""How error messages show a JSON value: its beginning, laid out as TensorFlow Serving lays it out."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Any

import orjson

LONGEST = 256
"""Bytes. The token that crosses this line is the last one shown."""
_INDENT = " " * 4


class _Full(Exception):  # noqa: N818  It ends the walk; it is no error.
    """Nothing more is shown."""


class _Text:
    """A JSON text that stops growing when it is long enough."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0

    def token(self, lead: str, text: str) -> None:
        if self.size >= LONGEST:
            raise _Full
        self.parts.append(lead + text)
        self.size += len((lead + text).encode("utf-8", "replace"))


def type_name(value: Any) -> str:
    """Return the name of a JSON value's type, e.g. ``Number``."""
    if isinstance(value, bool):
        return str(value)
    names = {dict: "Object", list: "Array", str: "String", int: "Number", float: "Number", type(None): "Null"}
    return names[type(value)]


def show(value: Any) -> str:
    """Return a JSON value as text, cut after about 256 bytes."""
    text = _Text()
    with suppress(_Full):
        _write(value, text, "", 0)
    return "".join(text.parts)


def _write(value: Any, text: _Text, lead: str, depth: int) -> None:
    if isinstance(value, dict):
        text.token(lead, "{")
        for position, (key, item) in enumerate(value.items()):
            text.token(f"{',' if position else ''}\n{_INDENT * (depth + 1)}", quote(key))
            _write(item, text, ": ", depth + 1)
        text.token(f"\n{_INDENT * depth}" if value else "", "}")
    elif isinstance(value, list):
        text.token(lead, "[")
        for position, item in enumerate(value):
            _write(item, text, ", " if position else "", depth + 1)
        text.token("", "]")
    else:
        text.token(lead, _scalar(value))
        if isinstance(value, float) and not math.isfinite(value):
            raise _Full


def _scalar(value: Any) -> str:
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    return orjson.dumps(value).decode()


def quote(text: str) -> str:
    """Return a string as JSON; bytes that are no UTF-8 stay what they are."""
    if text.isascii():
        return orjson.dumps(text).decode()
    # Lone surrogates stand for bytes that came in and were no UTF-8.
    pieces = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return orjson.dumps(pieces).decode()
