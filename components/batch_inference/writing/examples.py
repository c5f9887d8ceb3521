"""Predictions as TFRecords of tf.Examples: the key, what is passed through, and a feature for each output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from penstock.components.batch_inference.framing import framed
from penstock.components.batch_inference.join import objects
from penstock.components.batch_inference.rows import RECORD
from penstock.components.batch_inference.wire import example, join, varying
from penstock.components.batch_inference.writing.streams import open_bytes
from penstock.components.batch_inference.writing.writer import KEY, Writing

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array, Predictions


class ExampleWriter:
    """Writes tf.Examples. Where whole records are passed through, the predictions become features of these.

    Args:
        path: The file.
        writing: How it is written.
    """

    def __init__(self, path: Path, writing: Writing) -> None:
        self._stream = open_bytes(path, writing.compression)

    def encode(self, predictions: Predictions) -> memoryview:
        """Return an Example for each row, as they lie in the file."""
        features: dict[str, Array] = {KEY: predictions.keys.cast(pa.binary()).to_numpy(zero_copy_only=False)}
        names = predictions.columns.schema.names
        features |= {name: _array(predictions.columns.column(name)) for name in names if name != RECORD}
        features |= predictions.outputs
        # Messages that follow each other merge: the features are added to those of the record.
        whole = [varying(predictions.columns.column(RECORD))] if RECORD in names else []
        return framed(join([*whole, example(features)]).column(len(predictions.keys)))

    def append(self, encoded: memoryview) -> None:
        """Write records."""
        self._stream.write(encoded)

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()


def _array(values: pa.Array) -> Array:
    """Return a column as feature values; what is missing has none, and what is neither number nor text is a text."""
    if not pa.types.is_nested(values.type):
        values = _plain(values)
        if not values.null_count:
            return values.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
        rows = [values[at : at + 1].drop_null() for at in range(len(values))]
        return objects([row.to_numpy(zero_copy_only=False) for row in rows])
    while pa.types.is_list(values.type) and pa.types.is_list(values.type.value_type):
        values = pa.ListArray.from_arrays(values.offsets, values.flatten())
    rows = [_plain(pa.array(row or [], values.type.value_type)) for row in values.to_pylist()]
    return objects([row.to_numpy(zero_copy_only=False) for row in rows])


def _plain(values: pa.Array) -> pa.Array:
    if pa.types.is_binary(values.type) or pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return values
    if pa.types.is_boolean(values.type):
        return values.cast(pa.int64())
    return values.cast(pa.string()).cast(pa.binary())
