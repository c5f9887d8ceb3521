"""Which module reads a format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from penstock.components.batch_inference.shards import InputFile, Shard

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.components.batch_inference.job import Reading
    from penstock.components.batch_inference.rows import Block

PROBED = 100
"""Rows that are looked at to find out what columns a file has, where the file does not say."""


def open_blocks(shard: Shard, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a shard, in order.

    Raises:
        ArtifactError: The file holds something else.
        OSError: It cannot be read.
    """
    if shard.file.format == "tfrecord":
        from penstock.components.batch_inference.reading import tfrecords

        return tfrecords.blocks(shard, reading.limits)
    if shard.file.format == "csv":
        from penstock.components.batch_inference.reading import delimited

        return delimited.blocks(shard, reading)
    if shard.file.format == "jsonl":
        from penstock.components.batch_inference.reading import json_lines

        return json_lines.blocks(shard, reading)
    if shard.file.format == "parquet":
        from penstock.components.batch_inference.reading import parquet

        return parquet.blocks(shard, reading)
    from penstock.components.batch_inference.reading import file_list

    return file_list.blocks(shard, reading)


def schema_of(file: InputFile, names: Sequence[str] | None) -> pa.Schema | None:
    """Return the columns of a file with their types; of tf.Examples, the features of the first rows.

    Args:
        file: The file.
        names: Names of the columns where the file does not have them.

    Returns:
        The columns; None where there is no row that could tell.

    Raises:
        ArtifactError: The file holds something else.
    """
    if file.format == "tfrecord":
        from penstock.components.batch_inference.reading import examples

        return examples.schema(file, PROBED)
    if file.format == "csv":
        from penstock.components.batch_inference.reading import delimited

        return delimited.schema(file, names)
    if file.format == "jsonl":
        from penstock.components.batch_inference.reading import json_lines

        return json_lines.schema(file, names, PROBED)
    if file.format == "parquet":
        from penstock.components.batch_inference.reading import parquet

        return parquet.schema(file)
    from penstock.components.batch_inference.reading import file_list

    return file_list.SCHEMA
