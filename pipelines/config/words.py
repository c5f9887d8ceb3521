"""How values, paths and lists are put in words in messages."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

Path = tuple[str | int, ...]

_LONGEST_TEXT = 60
_LONGEST_LIST = 20


def quoted(text: str) -> str:
    """Return ``text`` in quotes, on one line, with control characters escaped, cut when it is long."""
    cut = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return repr(cut)


def dotted(path: Iterable[str | int]) -> str:
    """Return the path as it is written in ``--set``: ``steps.trainer.with.epochs``."""
    return ".".join(_printable(part) if isinstance(part, str) else str(part) for part in path)


def where(path: Path, preposition: str) -> str:
    """Return `` in steps.trainer``, or nothing for the top level."""
    return f" {preposition} {dotted(path)}" if path else ""


def one_of(words: Collection[str]) -> str:
    """Return ``one of a, b, c``, with the end of a long list counted instead of shown."""
    if not words:
        return "no keys"
    shown = [_printable(word) for word in list(words)[:_LONGEST_LIST]]
    rest = len(words) - len(shown)
    return f"one of {', '.join(shown)}" + (f" and {rest} more" if rest else "")


def _printable(text: str) -> str:
    return quoted(text)[1:-1]


def kind(value: Any) -> str:
    """Return what sort of value it is, without the value: ``text``, ``an integer``, ``a mapping``."""
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (bool, "true or false"),
        (str, "text"),
        (int, "an integer"),
        (float, "a number"),
        (dict, "a mapping"),
        ((list, tuple), "a list"),
    ]
    return next((name for types, name in kinds if isinstance(value, types)), "nothing")


def described(value: Any) -> str:
    """Return the value with its kind: ``the text 'five'``, ``the integer 5``, ``a mapping``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, int | float):
        return f"the {'integer' if isinstance(value, int) else 'number'} {as_text(value)}"
    return kind(value)


def as_text(value: Any) -> str:
    """Return a scalar as YAML writes it: ``true``, ``null``, ``.inf``, ``5``."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    return str(value)
