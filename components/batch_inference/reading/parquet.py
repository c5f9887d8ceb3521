"""Parquet, read by Arrow; of a damaged file, the rows of each damaged row group are lost and counted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from penstock.components.batch_inference.job import Reading
from penstock.components.batch_inference.places import is_url, open_file
from penstock.components.batch_inference.reading.batches import empty_batch
from penstock.components.batch_inference.rows import BadRow, Block
from penstock.components.batch_inference.shards import InputFile, Shard
from penstock.errors import ArtifactError


def schema(file: InputFile) -> pa.Schema:
    """Return the columns of a file.

    Raises:
        ArtifactError: It is no Parquet.
    """
    with _opened(file) as opened:
        found = opened.schema_arrow
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in found])


def blocks(shard: Shard, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a shard.

    Raises:
        ArtifactError: The file is no Parquet, or has lost its footer.
    """
    with _opened(shard.file) as file:
        groups = range(file.num_row_groups)
        if shard.part:
            groups = range(shard.part.start, shard.part.stop)
        first = shard.part.first_row if shard.part else 0
        for group in groups:
            yield from _group(file, group, first, reading)
            first += file.metadata.row_group(group).num_rows


def _group(file: pq.ParquetFile, group: int, first: int, reading: Reading) -> Iterator[Block]:
    rows = file.metadata.row_group(group).num_rows
    row_bytes = max(1, file.metadata.row_group(group).total_byte_size // max(1, rows))
    batch_rows = max(1, min(reading.limits.rows, reading.limits.size // row_bytes))
    done = 0
    try:
        for batch in file.iter_batches(batch_rows, [group], reading.columns.names):
            numbers = np.arange(first + done, first + done + batch.num_rows)
            yield Block(numbers, _selected(batch, reading.columns), (), batch.nbytes)
            done += batch.num_rows
    except (OSError, pa.ArrowException) as error:
        cause = f"the row group is damaged: {str(error).splitlines()[0]}"
        yield Block(
            np.zeros(0, np.int64), empty_batch(reading.columns), (BadRow(first + done, cause, None, rows - done),)
        )


def _selected(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if not schema.names:
        return batch
    columns = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values: how they are stored is no matter."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


@contextmanager
def _opened(file: InputFile) -> Iterator[pq.ParquetFile]:
    with ExitStack() as closing:
        source = closing.enter_context(open_file(file.path)) if is_url(file.path) else file.path
        yield closing.enter_context(_parquet(source, file))


def _parquet(source: BinaryIO | str, file: InputFile) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(source)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"the file cannot be read as Parquet: {str(error).splitlines()[0]}",
            where=file.path,
            hint="write it again; a copy may be incomplete",
        ) from error
