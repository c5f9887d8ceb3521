"""Predictions as TFRecords of PredictionLogs, as BulkInferrer writes them: a request of one row, and its response."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.components.batch_inference.framing import framed
from penstock.components.batch_inference.join import holds_arrays
from penstock.components.batch_inference.wire import Bytes, by_row, field, join, number_field, raw, same, texts
from penstock.components.batch_inference.writing.streams import open_bytes
from penstock.components.batch_inference.writing.writer import Writing

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array, Predictions

# Numbers of fields, from TensorFlow Serving's and TensorFlow's .proto files.
_LOG_PREDICT = 6
_PREDICT_REQUEST, _PREDICT_RESPONSE = 1, 2
_REQUEST_SPEC, _REQUEST_INPUTS = 1, 2
_RESPONSE_OUTPUTS, _RESPONSE_SPEC = 1, 2
_SPEC_NAME, _SPEC_VERSION, _SPEC_SIGNATURE = 1, 2, 3
_KEY, _VALUE = 1, 2
_TENSOR_DTYPE, _TENSOR_SHAPE, _TENSOR_CONTENT, _TENSOR_TEXTS = 1, 2, 4, 8
_SHAPE_DIM, _DIM_SIZE = 2, 1


class PredictionLogWriter:
    """Writes PredictionLogs.

    Args:
        path: The file.
        writing: How it is written.
    """

    def __init__(self, path: Path, writing: Writing) -> None:
        self._spec = _model_spec(writing)
        self._stream = open_bytes(path, writing.compression)

    def encode(self, predictions: Predictions) -> memoryview:
        """Return a log for each row, as they lie in the file."""
        request = join([field(_REQUEST_SPEC, self._spec), *_entries(_REQUEST_INPUTS, predictions.inputs)])
        response = join([*_entries(_RESPONSE_OUTPUTS, predictions.outputs), field(_RESPONSE_SPEC, self._spec)])
        log = join([field(_PREDICT_REQUEST, request), field(_PREDICT_RESPONSE, response)])
        return framed(field(_LOG_PREDICT, log).column(len(predictions.keys)))

    def append(self, encoded: memoryview) -> None:
        """Write records."""
        self._stream.write(encoded)

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()


def _model_spec(writing: Writing) -> Bytes:
    parts = [field(_SPEC_NAME, same(writing.model_name.encode()))] if writing.model_name else []
    if writing.model_version is not None:
        parts.append(field(_SPEC_VERSION, number_field(1, writing.model_version)))  # A google.protobuf.Int64Value.
    return join([*parts, field(_SPEC_SIGNATURE, same(writing.signature.name.encode()))])


def _entries(number: int, arrays: Mapping[str, Array]) -> list[Bytes]:
    """Return a map's fields: name → a tensor of one row."""
    return [
        field(number, join([field(_KEY, same(name.encode())), field(_VALUE, _tensor(array))]))
        for name, array in sorted(arrays.items())
    ]


def _tensor(array: Array) -> Bytes:
    """Return each row of an array as a TensorProto whose first dimension is 1."""
    if holds_arrays(array):
        return by_row(_tensor, array)
    dims = [field(_SHAPE_DIM, number_field(_DIM_SIZE, size)) for size in (1, *array.shape[1:])]
    head = [number_field(_TENSOR_DTYPE, _number_of(array.dtype.name)), field(_TENSOR_SHAPE, join(dims))]
    if array.dtype != object:
        return join([*head, field(_TENSOR_CONTENT, raw(array))])
    columns = array.reshape(len(array), -1).T
    return join([*head, *(field(_TENSOR_TEXTS, texts(column)) for column in columns)])


@cache
def _number_of(dtype: str) -> int:
    """Return TensorFlow's number of a type."""
    import tensorflow as tf

    return int(tf.as_dtype("string" if dtype == "object" else dtype).as_datatype_enum)
