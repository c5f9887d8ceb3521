"""Reads TFRecord files and vouches for them: every row there, in an order that is always the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penstock.components.trainer.compression import Compression, compression_of, missing_end
from penstock.components.trainer.options import InputOptions
from penstock.errors import ArtifactError
from penstock.serving.saved_model import tensorflow_message

_AUTO_READS = 8
"""Fixed, not taken from the machine: the number of files read at once decides the order of rows."""
_BLOCK_ROWS = 1024
_RECORD_OVERHEAD = 16
"""Bytes that TFRecord adds to a record: its length (8) and two checksums (4 each)."""


@dataclass(frozen=True)
class Split:
    """The TFRecord files of a split.

    Args:
        files: Their paths.
        rows_per_file: Rows in each, a count.
        row_bytes: Mean size of a serialized row, in bytes; the larger, the fewer are handed over at once.
    """

    files: tuple[str, ...]
    rows_per_file: tuple[int, ...]
    row_bytes: int = 1

    @property
    def rows(self) -> int:
        """Rows of the split, a count."""
        return sum(self.rows_per_file)


def read_blocks(files: Sequence[str], options: InputOptions, *, block_rows: int, seed: Any = None) -> Any:
    """Return the serialized rows of TFRecord files, decompressed, in an order that depends on nothing but the seed.

    Several files are read at once, and a block of each is returned in turn: TensorFlow's cost of handing over an
    element is then paid for a block, not for a row.

    Args:
        files: What to read; at least one.
        options: How to read.
        block_rows: Rows of a block, a count; the last of a file may have fewer.
        seed: Seed of the files' order, int64 [2]; None keeps the order given.

    Returns:
        A dataset of string vectors.
    """
    reads = files_read_at_once(files, options)
    names, compressions = tf.constant(files), tf.constant([compression_of(file) for file in files])
    if seed is not None:
        order = tf.random.experimental.stateless_shuffle(tf.range(len(files)), seed, alg="philox")
        names, compressions = tf.gather(names, order), tf.gather(compressions, order)
    return tf.data.Dataset.from_tensor_slices((names, compressions)).interleave(
        lambda name, compression: tf.data.TFRecordDataset(name, compression).batch(block_rows),
        cycle_length=reads,
        num_parallel_calls=reads,
        deterministic=True,
    )


def files_read_at_once(files: Sequence[str], options: InputOptions) -> int:
    """Return how many files :func:`read_blocks` reads at the same time."""
    return min(_parallel_reads(options), len(files))


def first_records(files: Sequence[str], split: str, count: int) -> list[bytes]:
    """Return up to ``count`` serialized rows, the first in the files' order.

    Raises:
        ArtifactError: The split has no rows.
    """
    rows = read_blocks(files, InputOptions(), block_rows=count).unbatch().take(count) if files else ()
    records = [row.numpy() for row in rows]
    if not records:
        raise _empty(files, split)
    return records


def count_rows(files: Sequence[str], split: str, options: InputOptions) -> Split:
    """Read a split once to its end, so that damage is found before training and the number of rows is known.

    Raises:
        ArtifactError: The split has no rows, or a file is damaged or not there.
    """
    rows_per_file, total_bytes = [], 0
    with reading(files):
        compressions = [compression_of(file) for file in files]
        sizes = _sizes(files, compressions, options)
        for file, compression, (rows, data_bytes) in zip(files, compressions, sizes, strict=True):
            cut = missing_end(file, compression, data_bytes + rows * _RECORD_OVERHEAD)
            if cut:
                raise _damaged(file, cut)
            rows_per_file.append(rows)
            total_bytes += data_bytes
    total = sum(rows_per_file)
    if not total:
        raise _empty(files, split)
    return Split(tuple(files), tuple(rows_per_file), total_bytes // total)


@contextmanager
def reading(files: Sequence[str]) -> Iterator[None]:
    """Turn TensorFlow's data errors inside the block into ones that name the file.

    Raises:
        ArtifactError: A file is damaged or not there, or its rows are not what the schema says.
    """
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.NotFoundError) as error:
        for file in files:
            message = _damage(file)
            if message:
                raise _damaged(file, message) from error
        raise ArtifactError(f"the examples cannot be read: {tensorflow_message(error)}") from error
    except tf.errors.InvalidArgumentError as error:
        if not _is_parse_error(error):
            raise
        raise ArtifactError(
            f"a row does not match the schema: {tensorflow_message(error)}",
            where=_folder(files),
            expected="rows with the types, shapes and required features of the schema",
            hint="compare the schema with the data: an ExampleValidator step lists the anomalies",
        ) from error


def is_reading_error(error: BaseException) -> bool:
    """Return whether :func:`reading` explains the error."""
    return isinstance(error, tf.errors.DataLossError | tf.errors.NotFoundError) or (
        isinstance(error, tf.errors.InvalidArgumentError) and _is_parse_error(error)
    )


def _parallel_reads(options: InputOptions) -> int:
    return _AUTO_READS if options.parallel_reads == "auto" else options.parallel_reads


def _sizes(
    files: Sequence[str], compressions: Sequence[Compression], options: InputOptions
) -> Iterator[tuple[int, int]]:
    """Yield for each file its rows and the bytes in them."""
    if not files:
        return

    def measure(file: Any, compression: Any) -> Any:
        blocks = tf.data.TFRecordDataset(file, compression).batch(_BLOCK_ROWS)
        return blocks.reduce(
            tf.zeros(2, tf.int64),
            lambda total, block: (
                total + tf.stack([tf.size(block, tf.int64), tf.reduce_sum(tf.cast(tf.strings.length(block), tf.int64))])
            ),
        )

    files_and_compressions = tf.data.Dataset.from_tensor_slices((list(files), list(compressions)))
    sizes = files_and_compressions.map(measure, num_parallel_calls=_parallel_reads(options), deterministic=True)
    for rows, data_bytes in sizes.as_numpy_iterator():
        yield int(rows), int(data_bytes)


def _is_parse_error(error: Exception) -> bool:
    text = str(error)
    return any(sign in text for sign in ("Could not parse example", "Key: ", "Feature: "))


def _damage(file: str) -> str | None:
    """Read a file to its end and return what TensorFlow says is wrong with it."""
    try:
        for _ in read_blocks([file], InputOptions(), block_rows=_BLOCK_ROWS):
            pass
    except tf.errors.OpError as error:
        return tensorflow_message(error)
    return None


def _damaged(file: str, message: str) -> ArtifactError:
    return ArtifactError(
        f"the examples cannot be read: {message}",
        where=file,
        expected="an intact TFRecord file",
        hint="run the step that wrote it again without cache",
    )


def _empty(files: Sequence[str], split: str) -> ArtifactError:
    return ArtifactError(
        f"split {split!r} is empty",
        where=_folder(files),
        received=f"no row in {len(files)} file{'' if len(files) == 1 else 's'}",
        expected="at least one tf.Example",
        hint="look at the split's share in the ExampleGen step's output_config",
    )


def _folder(files: Sequence[str]) -> str | None:
    return files[0].rpartition("/")[0] if files else None
