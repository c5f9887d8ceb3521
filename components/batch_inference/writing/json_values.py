"""Columns → the JSON text of each row's value, many rows at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.batch_inference.plain import plain_value

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array


def json_of_array(array: Array) -> list[bytes]:
    """Return each row as JSON: numbers as the shortest decimals that mean them, NaN as null, texts as texts."""
    if array.dtype == object:
        return [orjson.dumps(plain_value(row.tolist() if isinstance(row, np.ndarray) else row)) for row in array]
    if array.size == 0:
        return [orjson.dumps(row.tolist()) for row in array]
    text = orjson.dumps(np.ascontiguousarray(array), option=orjson.OPT_SERIALIZE_NUMPY)
    if array.ndim == 1:
        return text[1:-1].split(b",")
    # Rows of a matrix are parted by as many brackets as it has dimensions besides the rows.
    depth = array.ndim - 1
    inner = text[1 + depth : -1 - depth].split(b"]" * depth + b"," + b"[" * depth)
    opening, closing = b"[" * depth, b"]" * depth
    return [opening + row + closing for row in inner]


def json_of_column(column: pa.Array) -> list[bytes]:
    """Return each row of an Arrow column as JSON."""
    if pa.types.is_string(column.type) and not column.null_count:
        return json_of_texts(column)
    if (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)) and not column.null_count:
        return json_of_array(column.to_numpy(zero_copy_only=False))
    return [orjson.dumps(plain_value(value)) for value in column.to_pylist()]


def json_of_texts(column: pa.Array) -> list[bytes]:
    """Return each text as JSON."""
    if _needs_escapes(column):
        return [orjson.dumps(text) for text in column.to_pylist()]
    quoted = pc.binary_join_element_wise('"', column, '"', "")
    values: list[Any] = quoted.cast(pa.binary()).to_pylist()
    return values


def _needs_escapes(column: pa.Array) -> bool:
    """Whether a text has a character that JSON escapes; of a slice, the texts around it count too."""
    content = column.buffers()[2]
    if content is None:
        return False
    octets = np.frombuffer(content, np.uint8)
    return bool(((octets < 0x20) | (octets == ord('"')) | (octets == ord("\\"))).any())
