"""Predictions as a table: the key, the columns passed through, and a column for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
import pyarrow as pa

from penstock.components.batch_inference.features.arrays import value_type
from penstock.components.batch_inference.join import holds_arrays
from penstock.components.batch_inference.plain import plain_value
from penstock.components.batch_inference.writing.writer import KEY, Writing
from penstock.errors import ConfigError
from penstock.serving.saved_model import TensorInfo

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array, Predictions

_BYTES = "_bytes"
"""What the names of outputs end with that hold bytes and no texts, as in TensorFlow Serving's REST API."""


def table_schema(writing: Writing) -> pa.Schema:
    """Return the columns of a table of predictions.

    Raises:
        ConfigError: An output has a type or a shape that no column has.
    """
    outputs = [pa.field(output.name, _column_type(output)) for output in writing.signature.outputs]
    return pa.schema([pa.field(KEY, pa.string()), *writing.passed, *outputs])


def table_of(predictions: Predictions, schema: pa.Schema) -> pa.RecordBatch:
    """Return predictions as a batch of a schema that :func:`table_schema` has made."""
    outputs = [to_column(array, schema.field(name).type) for name, array in predictions.outputs.items()]
    return pa.RecordBatch.from_arrays([predictions.keys, *predictions.columns.columns, *outputs], schema=schema)


def to_column(array: Array, kind: pa.DataType) -> pa.Array:
    """Return an array [rows, …] as a column of lists of as many levels as a row has dimensions."""
    if holds_arrays(array):
        return pa.array([_listed(row, kind) for row in array], kind)
    bare = kind
    while pa.types.is_list(bare):
        bare = bare.value_type
    flat = np.ascontiguousarray(array).reshape(-1)
    column = _texts(flat, bare) if array.dtype == object else pa.array(flat, bare)
    for level in range(array.ndim - 1, 0, -1):
        rows = int(np.prod(array.shape[:level]))
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(array.shape[level]))
        column = pa.ListArray.from_arrays(offsets, column)
    return column.cast(kind) if column.type != kind else column


def _column_type(output: TensorInfo) -> pa.DataType:
    bare = value_type(output)
    if bare is None or output.shape is None:
        raise ConfigError(
            f"the output {output.name!r} fits into no column",
            received=f"{output.dtype}, shape {'unknown' if output.shape is None else list(output.shape)}",
            expected="numbers or texts of a known number of dimensions",
            hint="leave it out of `outputs`, or write JSON Lines",
        )
    if output.dtype == "string" and not output.name.endswith(_BYTES):
        bare = pa.string()
    for _ in output.shape[1:]:
        bare = pa.list_(bare)
    return bare


def _texts(flat: Array, kind: pa.DataType) -> pa.Array:
    column = pa.array(flat, pa.binary())
    if not pa.types.is_string(kind):
        return column
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([_text(value) for value in flat], pa.string())


def _text(value: bytes) -> str:
    plain = plain_value(value)
    return plain if isinstance(plain, str) else orjson.dumps(plain).decode()


def _listed(row: Array, kind: pa.DataType) -> object:
    bare = kind
    while pa.types.is_list(bare):
        bare = bare.value_type
    if not pa.types.is_string(bare):
        return row.tolist()
    return np.vectorize(_text, otypes=[object])(row).tolist() if row.size else row.tolist()
