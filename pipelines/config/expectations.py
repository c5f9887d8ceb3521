"""What pydantic's error types expected, in words that complete "expected …"."""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import ErrorDetails

from penstock.pipelines.config.base import RULES
from penstock.types import IMPORT_PATH

_MAPPING_OR_LIST = {"model_type": "a mapping", "dict_type": "a mapping", "list_type": "a list", "tuple_type": "a list"}
_TYPES = {
    **_MAPPING_OR_LIST,
    "model_attributes_type": "a mapping",
    "mapping_type": "a mapping",
    "dataclass_type": "a mapping",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "iterable_type": "a list",
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "none_required": "null",
    "path_type": "a path",
}
_BOUNDS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "multiple_of": "a multiple of {multiple_of}",
    "finite_number": "a finite number",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "union_tag_invalid": "one of {expected_tags}",
}
_LENGTHS = {
    "string_too_short": "at least {min_length} character",
    "string_too_long": "at most {max_length} character",
    "too_short": "at least {min_length} item",
    "too_long": "at most {max_length} item",
}
_RULES = {**RULES, IMPORT_PATH: "an import path, such as 'package.module.function'"}
_PYDANTIC_OPENING = re.compile(r"^Input should be (a valid )?")


def is_type_error(error: ErrorDetails) -> bool:
    """Return whether the value is of the wrong type, rather than out of bounds."""
    return error["type"] in _TYPES


def expectation(error: ErrorDetails) -> str | None:
    """Return what was expected; None when pydantic says it in a whole sentence of its own."""
    name = error["type"]
    context = {key: _as_whole(value) for key, value in error.get("ctx", {}).items()}
    if name == "string_pattern_mismatch":
        return _RULES.get(context["pattern"], f"text that matches {context['pattern']}")
    if name == "string_too_short" and context["min_length"] == 1:
        return "text that is not empty"
    if name in _LENGTHS:
        count = context.get("min_length", context.get("max_length"))
        return _LENGTHS[name].format(**context) + ("" if count == 1 else "s")
    if name in _TYPES or name in _BOUNDS:
        return _TYPES.get(name) or _BOUNDS[name].format(**context)
    text, is_usual = _PYDANTIC_OPENING.subn("", error["msg"])
    return text if is_usual else None


def _as_whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value
