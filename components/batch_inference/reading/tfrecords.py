"""TFRecords, read by tf.data; a damaged file is read on by :mod:`recovery`, row by row."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from penstock.components.batch_inference.framing import FRAME
from penstock.components.batch_inference.places import is_url, open_file
from penstock.components.batch_inference.reading.recovery import Lost, salvage
from penstock.components.batch_inference.remote_files import download
from penstock.components.batch_inference.rows import RECORD, BadRow, Block
from penstock.components.batch_inference.shards import Limits, Shard
from penstock.errors import EnvironmentProblem
from penstock.serving.saved_model import tensorflow_message

_BUFFER = 8 << 20
"""Bytes that are read ahead of each file."""
_PROBED = 16
"""Records whose size is looked at, to choose how many make a block."""


def blocks(shard: Shard, limits: Limits) -> Iterator[Block]:
    """Yield the records of a shard, a binary column each, in order; records that are lost are told of."""
    first = row = shard.part.first_row if shard.part else 0
    size = 0
    try:
        with _path_for_tensorflow(shard.file.path) as path:
            for records in _batches(path, shard, limits):
                block = _block(records, row)
                row += len(records)
                size += block.size
                yield block
    except tf.errors.DataLossError:
        # The batch in which the damage lies is lost with it: read again from its first record on.
        yield from _salvaged(shard, limits, row)
    except tf.errors.OpError as error:
        raise EnvironmentProblem(
            f"reading failed: {tensorflow_message(error)}",
            where=shard.file.path,
            hint="run again: what is finished is kept",
        ) from error
    else:
        # TensorFlow takes a file that ends within the frame of a record for one that ends before it.
        if not _is_all(shard, row - first, size):
            yield from _salvaged(shard, limits, row)


@contextmanager
def _path_for_tensorflow(path: str) -> Iterator[str]:
    """Give a path that TensorFlow can read: it knows some stores itself, files of others are copied here meanwhile."""
    if not is_url(path) or path.partition("://")[0] in tf.io.gfile.get_registered_schemes():
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="penstock-") as copy:
        download(path, copy.file)
        copy.flush()
        yield copy.name


def _is_all(shard: Shard, rows: int, size: int) -> bool:
    """Whether records make up the whole shard: all its bytes, of a compressed file as its last four tell."""
    if shard.part is not None:
        return rows == shard.part.rows
    if not shard.file.gzip:
        return size == shard.file.size
    with open_file(shard.file.path) as stream:
        stream.seek(-4, os.SEEK_END)
        return int.from_bytes(stream.read(4), "little") == size & 0xFFFFFFFF


def _batches(path: str, shard: Shard, limits: Limits) -> Iterator[np.ndarray[Any, Any]]:
    records = _records(path, shard).with_options(_options())
    yield from records.batch(_rows_of_block(records, limits)).prefetch(2).as_numpy_iterator()


def _records(path: str, shard: Shard) -> Any:
    if shard.part is None:
        compression = "GZIP" if shard.file.gzip else ""
        return tf.data.TFRecordDataset(path, compression, buffer_size=_BUFFER)
    variant = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path], compression_type="", buffer_size=_BUFFER, byte_offsets=[shard.part.start]
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
