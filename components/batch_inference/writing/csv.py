"""Predictions as CSV, with a header; lists are JSON within their cell."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from pyarrow import csv

from penstock.components.batch_inference.writing.json_values import json_of_array, json_of_column
from penstock.components.batch_inference.writing.streams import open_bytes
from penstock.components.batch_inference.writing.table import table_schema, to_column
from penstock.components.batch_inference.writing.writer import Writing

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array, Predictions


class CsvWriter:
    """Writes CSV.

    Args:
        path: The file.
        writing: How it is written.
    """

    def __init__(self, path: Path, writing: Writing) -> None:
        self._schema = table_schema(writing)
        cells = [pa.field(field.name, _cell_type(field.type)) for field in self._schema]
        self._cells = pa.schema(cells)
        self._stream = open_bytes(path, writing.compression)
        self._writer = csv.CSVWriter(self._stream, self._cells)

    def encode(self, predictions: Predictions) -> pa.RecordBatch:
        """Return cells."""
        outputs = [self._output(name, array) for name, array in predictions.outputs.items()]
        columns = [predictions.keys, *map(_cells, predictions.columns.columns), *outputs]
        return pa.RecordBatch.from_arrays(columns, schema=self._cells)

    def append(self, encoded: pa.RecordBatch) -> None:
        """Write rows."""
        self._writer.write_batch(encoded)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._stream.close()

    def _output(self, name: str, array: Array) -> pa.Array:
        if array.ndim > 1 or (array.dtype == object and pa.types.is_list(self._schema.field(name).type)):
            return pa.array(json_of_array(array), pa.binary()).cast(pa.string())
        return _cells(to_column(array, self._schema.field(name).type))


def _cell_type(kind: pa.DataType) -> pa.DataType:
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    return kind if plain else pa.string()


def _cells(column: pa.Array) -> pa.Array:
    if _cell_type(column.type) == column.type:
        return column
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else base64.b64encode(value).decode() for value in column.to_pylist()])
    if pa.types.is_nested(column.type):
        return pa.array(json_of_column(column), pa.binary()).cast(pa.string())
    return column.cast(pa.string())
