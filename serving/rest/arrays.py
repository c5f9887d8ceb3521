"""JSON values → arrays: numbers at NumPy's speed where nothing can be wrong with them, else element by element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.serving.rest.types import Kind, kind_of
from penstock.serving.rest.values import elements

Array = np.ndarray[Any, Any]


def only_numbers(body: bytes, strings: int) -> bool:
    """Whether a JSON text holds nothing but numbers, lists, objects and ``strings`` strings (names of members too).

    NumPy would take ``"1.5"`` and ``true`` for numbers. Each string has two quotation marks and an escaped one only
    adds to them, so a text of numbers has as many as the names need. White lies are impossible, false alarms are not.
    """
    return body.count(b'"') == 2 * strings and not _has_words(body)


def _has_words(body: bytes) -> bool:
    """Whether true, false or null may stand in a JSON text."""
    values = max(body.find(b":"), 0)
    # One letter is found many times faster than a word, every word has one of these, and before the first colon is
    # nothing but a name.
    if body.find(b"u", values) < 0 and body.find(b"l", values) < 0:
        return False
    return any(word in body for word in (b"true", b"false", b"null"))


def quick(values: Any, data_type: int) -> Array | None:
    """Return lists of numbers as an array.

    Args:
        values: Lists of lists of numbers; :func:`only_numbers` must have said so.
        data_type: TensorFlow's number of the type.

    Returns:
        The array, or None where something is wrong or unusual: :func:`exact` then says what.
    """
    kind = kind_of(data_type)
    if kind is None or kind.accepts not in ("number", "integer"):
        return None
    try:
        if kind.accepts == "number":
            return cast(np.array(values, np.float64), kind)
        found = np.array(values)
    except (ValueError, TypeError, OverflowError):  # Ragged, too deep, or with an object among the numbers.
        return None
    if found.dtype.kind not in "iu" or (
        found.size and not kind.low <= int(found.min()) <= int(found.max()) <= kind.high
    ):
        return None
    return cast(found, kind)


def exact(value: Any, data_type: int, name: str) -> Array:
    """Return a value as an array.

    Raises:
        ServingError: The value is no tensor of this type.
    """
    found, shape = elements(value, data_type, name)
    return stack(found, data_type, shape)


def stack(found: Sequence[Any], data_type: int, shape: tuple[int, ...]) -> Array:
    """Return elements that :func:`elements` has checked as an array."""
    kind = kind_of(data_type)
    if kind is None:  # There was no element to complain about.
        return np.empty(shape, np.float32)
    if kind.accepts == "string":
        array = np.empty(len(found), object)
        array[:] = found
        return array.reshape(shape)
    as_read = {"number": np.float64, "bool": np.bool_}.get(kind.accepts) or (np.uint64 if kind.low == 0 else np.int64)
    return cast(np.array(found, as_read), kind).reshape(shape)


def cast(array: Array, kind: Kind) -> Array:
    """Return an array in the type of the tensor. Doubles that are too large for a float become infinite."""
    with np.errstate(over="ignore"):
        return array.astype(kind.dtype, copy=False)
