"""Tells whether two splits hold the same rows, whatever the order, the files, and the order of features in a row."""

from __future__ import annotations

import logging
from typing import Any

import tensorflow as tf

from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.records import Split, read_blocks

_log = logging.getLogger(__name__)
LARGEST_BYTES = 64 << 20
"""Larger splits have no fingerprint: taking it apart costs several microseconds a row."""
_BLOCK_ROWS = 1024
_HASHES = (1 << 63) - 1
"""As many as TensorFlow has; sums of them wrap around, which does no harm."""


def fingerprint(split: Split) -> str:
    """Return 16 hexadecimal digits that say which rows a split holds; empty for a large one, or one of other protos.

    The bytes of a row would not do: an ExampleGen writes the features of a row in another order each time.
    """
    if split.rows * split.row_bytes > LARGEST_BYTES:
        return ""
    total = 0
    try:
        for rows in read_blocks(split.files, InputOptions(), block_rows=_BLOCK_ROWS).map(_hash):
            total += int(rows)
    except tf.errors.OpError as error:
        _log.info("the rows have no fingerprint: %s", error.message)
        return ""
    return f"{total % (1 << 64):016x}"


def _hash(block: Any) -> Any:
    """Return the sum of the hashes of rows; that of a row is one of the sum over its features."""
    features = tf.io.decode_proto(block, "tensorflow.Example", ["features"], [tf.string]).values[0]
    joined = tf.strings.reduce_join(features, axis=1)
    entries = tf.io.decode_proto(joined, "tensorflow.Features", ["feature"], [tf.string]).values[0]
    # Rows with fewer features than others are filled up with empty text.
    hashes = tf.where(entries == "", tf.zeros([], tf.int64), tf.strings.to_hash_bucket_fast(entries, _HASHES))
    rows = tf.strings.as_string(tf.reduce_sum(hashes, axis=1))
    return tf.reduce_sum(tf.strings.to_hash_bucket_fast(rows, _HASHES))
