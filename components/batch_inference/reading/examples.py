"""Which features the tf.Examples of a file have."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import tensorflow as tf
from google.protobuf.message import DecodeError

from penstock.components.batch_inference.reading import tfrecords
from penstock.components.batch_inference.shards import InputFile, Limits, Shard
from penstock.errors import ArtifactError

_MOST_BYTES = 1 << 24


def schema(file: InputFile, probed: int) -> pa.Schema | None:
    """Return the features of the first rows; lists where a row has several values. None if there is no row.

    Raises:
        ArtifactError: The file holds no TFRecords, or something else than tf.Examples.
    """
    block = next(tfrecords.blocks(Shard(0, file), Limits(probed, _MOST_BYTES)), None)
    if block is None:
        return None
    if not block.rows.num_rows:
        raise ArtifactError(
            "the file holds no TFRecords",
            where=file.path,
            received=block.bad[0].cause if block.bad else "no record",
            expected="records with their lengths and checksums, plain or compressed by gzip",
        )
    found: dict[str, pa.DataType] = {}
    parsed = 0
    for record in block.rows.column(0).to_pylist():
        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            continue  # A bad row, which the scoring tells of.
        parsed += 1
        for name, feature in features.items():
            if kind := feature.WhichOneof("kind"):
                found[name] = _type_of(kind, list(getattr(feature, kind).value), found.get(name))
    if not parsed:
        raise ArtifactError("the records are no tf.Examples", where=file.path, expected="serialized tf.train.Example")
    return pa.schema(sorted(found.items()))


def _type_of(kind: str, values: Sequence[object], known: pa.DataType | None) -> pa.DataType:
    bare = pa.int64() if kind == "int64_list" else pa.float32()
    if kind == "bytes_list":
        bare = pa.string() if all(_is_text(value) for value in values) else pa.binary()
        if known is not None and pa.binary() in (known, getattr(known, "value_type", None)):
            bare = pa.binary()
    listed = len(values) > 1 or (known is not None and pa.types.is_list(known))
    return pa.list_(bare) if listed else bare


def _is_text(value: object) -> bool:
    try:
        return isinstance(value, bytes) and value.decode() is not None
    except UnicodeDecodeError:
        return False
