"""One JSON value → the elements and the shape of a tensor, element by element: the rules, and what breaks them."""

from __future__ import annotations

import binascii
import re
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest.describe import show, type_name
from penstock.serving.rest.types import NAMES, Kind, kind_of

MAX_RANK = 64
"""NumPy's."""

_BASE64 = re.compile(r"[A-Za-z0-9+/]*")
_SPACE = re.compile(r"[ \t\n\v\f\r]+")


def is_b64(value: Any) -> bool:
    """Whether a value is ``{"b64": "…"}``: bytes, and no object with named tensors."""
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def b64_bytes(value: Any) -> bytes:
    """Return the bytes of ``{"b64": "…"}``. White space is skipped and the padding may be left out.

    Raises:
        ServingError: INVALID_ARGUMENT: it is another object, or no base64.
    """
    if not is_b64(value):
        raise _invalid(f"JSON Value: {show(value)} not formatted correctly for base64 data")
    text = _SPACE.sub("", value["b64"])
    digits = text.rstrip("=")
    padding = -len(digits) % 4
    if _BASE64.fullmatch(digits) is None or padding == 3 or len(text) - len(digits) not in (0, padding):
        raise _invalid("Unable to base64 decode")
    return binascii.a2b_base64(digits + "=" * padding)


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape that the first element of each level says."""
    sizes = []
    while isinstance(value, list):
        sizes.append(len(value))
        if not value:
            break
        value = value[0]
    return tuple(sizes)


def elements(value: Any, data_type: int, name: str) -> tuple[list[Any], tuple[int, ...]]:
    """Return a value's elements, in order, and its shape.

    Args:
        value: A scalar, or lists of lists.
        data_type: TensorFlow's number of the type that each element must have.
        name: The tensor's name.

    Raises:
        ServingError: INVALID_ARGUMENT: an element has another type, or the lists are ragged; UNIMPLEMENTED: JSON
            cannot carry the type.
    """
    shape = shape_of(value)
    if len(shape) > MAX_RANK:
        raise _invalid(f"tensor parsing error: {name}")
    found: list[Any] = []
    _fill(value, 0, shape, data_type, found)
    return found, shape


def _fill(value: Any, level: int, shape: tuple[int, ...], data_type: int, found: list[Any]) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise _invalid(
                f"JSON Value: {show(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        found.append(_element(value, data_type))
        return
    if level >= len(shape):
        raise _invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for item in value:
        _fill(item, level + 1, shape, data_type, found)


def _element(value: Any, data_type: int) -> Any:
    kind = kind_of(data_type)
    if isinstance(value, dict):
        if kind is None or kind.accepts != "string":
            raise _type_error(value, data_type)
        return b64_bytes(value)
    if kind is None:
        raise ServingError(
            Code.UNIMPLEMENTED, f"Conversion of JSON Value: {show(value)} to type: {NAMES.get(data_type, 'invalid')}"
        )
    if not _fits(value, kind):
        raise _type_error(value, data_type)
    return value.encode("utf-8", "surrogateescape") if kind.accepts == "string" else value


def _fits(value: Any, kind: Kind) -> bool:
    if kind.accepts == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind.accepts == "integer":
        return isinstance(value, int) and not isinstance(value, bool) and kind.low <= value <= kind.high
    return isinstance(value, str if kind.accepts == "string" else bool)


def _type_error(value: Any, data_type: int) -> ServingError:
    return _invalid(
        f"JSON Value: {show(value)} Type: {type_name(value)} is not of expected type: {NAMES.get(data_type, 'invalid')}"
    )


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
