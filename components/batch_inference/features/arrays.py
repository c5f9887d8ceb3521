"""One Arrow column → the array that an input of a signature takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.batch_inference.bisect import Refused
from penstock.serving.saved_model import TensorInfo

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array

_STRING = "string"
_ARROW = {
    "float16": pa.float16(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


def value_type(spec: TensorInfo) -> pa.DataType | None:
    """Return Arrow's type of an input's values, None where Arrow has none, as for complex numbers."""
    return pa.binary() if spec.dtype == _STRING else _ARROW.get(spec.dtype)


def to_array(column: pa.Array, spec: TensorInfo) -> Array:
    """Return the values of consecutive rows as one array.

    Args:
        column: Numbers, texts, or lists of them. Texts that hold a number, or lists as JSON, count as what they hold,
            as in CSV.
        spec: What the signature takes, with the batch as first dimension.

    Returns:
        An array [rows, …] of the input's type. Where a dimension is open and rows differ in it, an array of objects
        that holds an array a row.

    Raises:
        Refused: A value is missing or is not what the signature takes; the message is the first such row's only if
            there is a single row.
    """
    if column.null_count:
        raise Refused(f"the feature {spec.name!r} is missing")
    inner = None if spec.shape is None else spec.shape[1:]
    if inner != () and _is_text(column.type) and not _takes_text_alone(spec):
        column = _lists_of_json(column, spec)
    lengths: list[Any] = []
    while _is_list(column.type):
        lengths.append(_lengths(column))
        column = column.flatten()
        if column.null_count:
            raise Refused(f"the feature {spec.name!r} has a value that is missing")
    values = _values(column, spec)
    return _shaped(values, lengths, inner, spec)


def _takes_text_alone(spec: TensorInfo) -> bool:
    """Whether a text may be a value itself, in a shape like [None, 1]."""
    return spec.dtype == _STRING and (spec.shape is None or all(size == 1 for size in spec.shape[1:]))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _lengths(column: pa.Array) -> Array:
    lengths: Array = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    return lengths


def _lists_of_json(column: pa.Array, spec: TensorInfo) -> pa.Array:
    """Return texts such as ``[0.5, 1]`` as what they hold; a bare number counts as such."""
    try:
        return pa.array([orjson.loads(text) for text in column.to_pylist()])
    except (orjson.JSONDecodeError, pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise Refused(f"the feature {spec.name!r} is no list: it should be written as [1, 2.5]") from error


def _values(column: pa.Array, spec: TensorInfo) -> Array:
    """Return bare values as an array [values] of the input's type."""
    if spec.dtype == _STRING:
        if not (_is_text(column.type) or pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
            raise Refused(f"the feature {spec.name!r} holds {column.type}, and the signature takes texts")
        return column.cast(pa.large_binary()).to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    wanted = _ARROW[spec.dtype]
    try:
        if _is_text(column.type):
            column = pc.utf8_trim_whitespace(column)
        elif pa.types.is_boolean(column.type) and spec.dtype != "bool":
            column = column.cast(pa.int8())
        # Small floats go by float64: a number such as 0.1 is no float32, and rounding it is what is meant.
        converted = column.cast(wanted, safe=not pa.types.is_floating(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        shown = f"{column[0].as_py()!r}" if len(column) == 1 else str(column.type)
        raise Refused(f"the feature {spec.name!r} holds {shown[:60]}, and the signature takes {spec.dtype}") from error
    return converted.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]


def _shaped(values: Array, lengths: list[Array], inner: tuple[int | None, ...] | None, spec: TensorInfo) -> Array:
    """Give flat values the shape of rows."""
    rows = len(lengths[0]) if lengths else len(values)
    if inner is None:
        inner = (None,) * len(lengths)
    found = [set(level.tolist()) for level in lengths]
    if all(len(level) == 1 for level in found):
        sizes = [int(next(iter(level))) for level in found]
        if len(sizes) == len(inner) and all(want in (None, size) for want, size in zip(inner, sizes, strict=True)):
            return values.reshape(rows, *sizes)
        fixed = [size for size in inner if size is not None]
        if len(fixed) == len(inner) and len(values) == rows * math.prod(fixed):
            # Flat, as tf.Examples and most tables have it.
            return values.reshape(rows, *fixed)
    elif len(lengths) == len(inner) == 1 and inner[0] is None:
        rows_of_values = np.empty(rows, dtype=object)
        for row, part in enumerate(np.split(values, np.cumsum(lengths[0])[:-1])):
            rows_of_values[row] = part
        return rows_of_values
    shown = f"{len(values)} values" if rows == 1 else "other numbers of values"
    raise Refused(f"the feature {spec.name!r} has {shown}, and the signature takes {_told(inner)}")


def _told(inner: tuple[int | None, ...]) -> str:
    if not inner:
        return "one"
    return f"[{', '.join('any' if size is None else str(size) for size in inner)}]"
