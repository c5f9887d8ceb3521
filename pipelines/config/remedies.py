"""What to write instead, when a wrong value shows what was meant."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from penstock.closest import did_you_mean
from penstock.pipelines.config.base import PIPELINE_NAME, STEP_NAME
from penstock.pipelines.config.expectations import expectation
from penstock.pipelines.config.scalars import read_scalar
from penstock.pipelines.config.words import as_text
from penstock.types import IMPORT_PATH

_OLD_BOOLEANS = ("yes", "no", "on", "off", "y", "n")
_QUOTED_WORD = re.compile(r"'([^']*)'")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def remedy(error: ErrorDetails, value: Any) -> str | None:
    """Return what to write instead of a value that pydantic refuses."""
    context = error.get("ctx", {})
    allowed = context.get("expected") or context.get("expected_tags")
    if isinstance(value, str) and isinstance(allowed, str):
        return did_you_mean(value, _QUOTED_WORD.findall(allowed))
    if isinstance(value, str) and error["type"] == "string_pattern_mismatch":
        meant = _respelt(value, context["pattern"])
        return f"write {meant}" if meant else None
    return remedy_for(expectation(error), value)


def remedy_for(expected: str | None, value: Any) -> str | None:
    """Return what to write where ``an integer``, ``a number``, ``text``, ``true or false`` or ``a list`` has to be."""
    if expected in ("an integer", "a number") and isinstance(value, dict) and list(value) == ["value"]:
        return f"write {as_text(value['value'])}"  # Protobuf's text format wraps numbers like this.
    if expected == "text" and isinstance(value, bool | int | float):
        return "put it in quotes"
    if expected == "a list" and isinstance(value, str | int | float):
        return f"write [{as_text(value)}]"
    if not isinstance(value, str):
        return None
    if expected == "true or false" and value.casefold() in _OLD_BOOLEANS:
        return "write true or false"
    meant = {"true or false": bool, "an integer": int, "a number": float | int}.get(expected or "")
    return "remove the quotes" if meant and isinstance(read_scalar(value), meant) else None


def _respelt(value: str, pattern: str) -> str | None:
    """Return the value as the pattern wants it: a name in lower case, an import path with dots only."""
    if pattern in (PIPELINE_NAME, STEP_NAME):
        meant = re.sub(r"[^a-z0-9_]+", "_", _WORD_START.sub("_", value).lower()).strip("_")
    elif pattern == IMPORT_PATH:
        meant = re.sub(r"^\./|\.py(?=:)|\(\)$", "", value).replace("/", ".").replace(":", ".")
    else:
        return None
    return meant if re.match(pattern, meant) else None
