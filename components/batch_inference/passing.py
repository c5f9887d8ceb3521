"""What is passed through from the input to the output: the key of each row, and the columns that were asked for."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from penstock.components.batch_inference.bisect import Refused, bisect, cause_of
from penstock.components.batch_inference.reading.batches import one_batch
from penstock.components.batch_inference.rows import RECORD

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array


@dataclass(frozen=True)
class Passed:
    """Rows with what is passed through of them.

    Attributes:
        keys: Text that identifies each row: string [good rows].
        columns: The columns.
        good: Positions of the good rows in the block: int64, ascending.
        bad: Position and cause of each bad row, ascending.
    """

    keys: pa.Array
    columns: pa.RecordBatch
    good: Array
    bad: tuple[tuple[int, str], ...] = ()


class Passing(Protocol):
    """Takes what is passed through out of blocks of rows. Travels between processes."""

    def take(self, rows: pa.RecordBatch, numbers: Array, file: str) -> Passed:
        """Return what is passed through.

        Args:
            rows: Rows of a block.
            numbers: Their numbers in their file.
            file: The file's name, for rows that have no key.
        """


@dataclass(frozen=True)
class ColumnPassing:
    """Passes columns of a table.

    Attributes:
        names: The columns.
        key: The column that identifies a row; None: file and number do.
    """

    names: tuple[str, ...]
    key: str | None

    def take(self, rows: pa.RecordBatch, numbers: Array, file: str) -> Passed:
        """Select the columns; a row without a key is bad."""
        found = _keyed(rows, numbers, file, self.key)
        columns = rows.select(list(self.names))
        return Passed(found.keys, columns.take(pa.array(found.good)) if found.bad else columns, found.good, found.bad)


@dataclass(frozen=True)
class FeaturePassing:
    """Passes features of serialized tf.Examples.

    Attributes:
        fields: The features with the types that they become columns of; lists where rows have several values.
        key: The feature that identifies a row, which is among the fields then; None: file and number do.
        names: The features that become columns.
    """

    fields: pa.Schema
    key: str | None
    names: tuple[str, ...]

    def take(self, rows: pa.RecordBatch, numbers: Array, file: str) -> Passed:
        """Parse the features; a row that has them in another type, or several values where there was one, is bad."""
        if not self.fields.names:
            return _keyed(rows, numbers, file, None)
        records = rows.column(RECORD).to_numpy(zero_copy_only=False)
        found = bisect(lambda start, stop: _parsed(self.fields, records[start:stop]), len(records))
        good = np.concatenate([np.zeros(0, np.int64), *(np.arange(start, stop) for start, stop, _ in found.parts)])
        batch = one_batch([part for _, _, part in found.parts], self.fields)
        keyed = _keyed(batch, numbers[good], file, self.key)
        columns = batch.select(list(self.names)).take(pa.array(keyed.good))
        bad = [*found.bad, *((int(good[position]), cause) for position, cause in keyed.bad)]
        return Passed(keyed.keys, columns, good[keyed.good], tuple(sorted(bad)))


@dataclass(frozen=True)
class RecordPassing:
    """Passes serialized tf.Examples, or whole files, as they are, in the column ``record``."""

    def take(self, rows: pa.RecordBatch, numbers: Array, file: str) -> Passed:
        """Return the records."""
        keyed = _keyed(rows, numbers, file, None)
        return Passed(keyed.keys, rows.select([RECORD]), keyed.good)


def _keyed(rows: pa.RecordBatch, numbers: Array, file: str, key: str | None) -> Passed:
    """Return the keys, without columns."""
    none = rows.select([])
    if key is None:
        texts = pa.array(numbers).cast(pa.string())
        keys = pc.binary_join_element_wise(pa.scalar(f"{file}:"), texts, "")
        return Passed(keys, none, np.arange(len(numbers)))
    column = _as_texts(rows.column(key))
    missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    good = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    bad = tuple((int(position), f"the key {key!r} is missing") for position in missing)
    return Passed(column.drop_null() if bad else column, none, good, bad)


def _as_texts(column: pa.Array) -> pa.Array:
    """Return keys as texts; bytes that are none as base64."""
    try:
        return column.cast(pa.string())
    except pa.ArrowInvalid:
        return pa.array([None if key is None else base64.b64encode(key).decode() for key in column.to_pylist()])


@cache
def _parser(fields: pa.Schema) -> Any:
    import tensorflow as tf

    features = {name: tf.io.RaggedFeature(_stored(fields.field(name).type)) for name in fields.names}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(records: Any) -> Any:
        found = tf.io.parse_example(records, features)
        return {name: (value.values, value.row_splits) for name, value in found.items()}

    return parse


def _stored(kind: pa.DataType) -> Any:
    import tensorflow as tf

    bare = kind.value_type if pa.types.is_list(kind) else kind
    return tf.float32 if pa.types.is_floating(bare) else tf.int64 if pa.types.is_integer(bare) else tf.string


def _parsed(fields: pa.Schema, records: Array) -> pa.RecordBatch:
    import tensorflow as tf

    try:
        found = _parser(fields)(tf.constant(records, tf.string))
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        raise Refused(cause_of(error)) from error
    columns = [_column(fields.field(name), *(part.numpy() for part in found[name])) for name in fields.names]
    return pa.RecordBatch.from_arrays(columns, schema=fields)


def _column(field: pa.Field, values: Array, splits: Array) -> pa.Array:
    bare = field.type.value_type if pa.types.is_list(field.type) else field.type
    flat = _texts(values) if pa.types.is_string(bare) else pa.array(values, bare)
    if pa.types.is_list(field.type):
        return pa.ListArray.from_arrays(pa.array(splits, pa.int32()), flat)
    lengths = np.diff(splits)
    if (lengths > 1).any():
        raise Refused(f"the feature {field.name!r} has several values, and had one in the first rows")
    if (lengths == 1).all():
        return flat
    return flat.take(pa.array(np.where(lengths == 1, splits[:-1], 0), mask=lengths == 0))


def _texts(values: Array) -> pa.Array:
    try:
        return pa.array(values, pa.binary()).cast(pa.string())
    except pa.ArrowInvalid as error:
        raise Refused("a feature that is passed through is no UTF-8 text, and was in the first rows") from error
