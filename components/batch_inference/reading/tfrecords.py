"""TFRecords, read by tf.data; a damaged file is read on by :mod:`recovery`, row by row."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from penstock.components.batch_inference.framing import FRAME
from penstock.components.batch_inference.reading.recovery import Lost, salvage
from penstock.components.batch_inference.rows import RECORD, BadRow, Block
from penstock.components.batch_inference.shards import Limits, Shard

_BUFFER = 8 << 20
"""Bytes that are read ahead of each file."""
_PROBED = 16
"""Records whose size is looked at, to choose how many make a block."""


def blocks(shard: Shard, limits: Limits) -> Iterator[Block]:
    """Yield the records of a shard, a binary column each, in order; records that are lost are told of."""
    first = row = shard.part.first_row if shard.part else 0
    size = 0
    try:
        for records in _batches(shard, limits):
            block = _block(records, row)
            row += len(records)
            size += block.size
            yield block
    except tf.errors.DataLossError:
        # The batch in which the damage lies is lost with it: read again from its first record on.
        yield from _salvaged(shard, limits, row)
    else:
        # TensorFlow takes a file that ends within the frame of a record for one that ends before it.
        if not _is_all(shard, row - first, size):
            yield from _salvaged(shard, limits, row)


def _is_all(shard: Shard, rows: int, size: int) -> bool:
    """Whether records make up the whole shard: all its bytes, of a compressed file as its last four tell."""
    if shard.part is not None:
        return rows == shard.part.rows
    if not shard.file.gzip:
        return size == shard.file.size
    with Path(shard.file.path).open("rb") as stream:
        stream.seek(-4, os.SEEK_END)
        return int.from_bytes(stream.read(4), "little") == size & 0xFFFFFFFF


def _batches(shard: Shard, limits: Limits) -> Iterator[np.ndarray[Any, Any]]:
    records = _records(shard).with_options(_options())
    yield from records.batch(_rows_of_block(records, limits)).prefetch(2).as_numpy_iterator()


def _records(shard: Shard) -> Any:
    if shard.part is None:
        compression = "GZIP" if shard.file.gzip else ""
        return tf.data.TFRecordDataset(shard.file.path, compression, buffer_size=_BUFFER)
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[shard.file.path], compression_type="", buffer_size=_BUFFER, byte_offsets=[shard.part.start]
    )
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(shard.part.rows)


def _options() -> tf.data.Options:
    options = tf.data.Options()
    # A thread for each file is enough: parsing is the model's.
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    # The optimizer cannot copy a dataset that begins in the middle of a file ("3 inputs specified of 4").
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _rows_of_block(records: Any, limits: Limits) -> int:
    sizes = [len(record) for record in records.take(_PROBED).as_numpy_iterator()]
    return max(1, min(limits.rows, limits.size // max([1, *sizes])))


def _block(records: np.ndarray[Any, Any], row: int) -> Block:
    column = pa.array(records, pa.binary())
    return Block(
        numbers=np.arange(row, row + len(records)),
        rows=pa.RecordBatch.from_arrays([column], [RECORD]),
        size=sum(map(len, records)) + FRAME * len(records),
    )


def _salvaged(shard: Shard, limits: Limits, row: int) -> Iterator[Block]:
    """Yield what is left of a damaged file from a row on."""
    end = shard.part.first_row + shard.part.rows if shard.part else None
    numbers: list[int] = []
    records: list[bytes] = []
    bad: list[BadRow] = []
    size = 0
    for number, found in salvage(shard, row):
        if end is not None and number >= end:
            break
        if isinstance(found, Lost):
            bad.append(BadRow(number, found.cause, found.original, found.rows))
        else:
            numbers.append(number)
            records.append(found)
            size += len(found)
        if len(records) == limits.rows or size >= limits.size:
            yield _gathered(numbers, records, bad)
            numbers, records, bad, size = [], [], [], 0
    yield _gathered(numbers, records, bad)


def _gathered(numbers: list[int], records: list[bytes], bad: list[BadRow]) -> Block:
    column = pa.array(records, pa.binary())
    rows = pa.RecordBatch.from_arrays([column], [RECORD])
    return Block(np.array(numbers, np.int64), rows, tuple(bad), column.nbytes)
