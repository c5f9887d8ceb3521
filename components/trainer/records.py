"""Reads TFRecord files and vouches for them: every row there, in an order that is always the same."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penstock.components.trainer.config import InputOptions
from penstock.errors import ArtifactError
from penstock.serving.saved_model import tensorflow_message

_AUTO_READS = 8
"""Fixed, not taken from the machine: the number of files read at once decides the order of rows."""
_BLOCK_ROWS = 1024
_CHUNK_BYTES = 1 << 20
_RECORD_OVERHEAD = 16
"""Bytes that TFRecord adds to a record: its length (8) and two checksums (4 each)."""


@dataclass(frozen=True)
class Split:
    """The TFRecord files of a split and the number of rows in them."""

    files: tuple[str, ...]
    rows: int


def read_records(files: Sequence[str], options: InputOptions) -> Any:
    """Return the serialized rows of TFRecord files, ``.gz`` ones decompressed, in an order that is always the same."""
    reads = min(_parallel_reads(options), len(files))
    return tf.data.Dataset.from_tensor_slices(_with_compression(files)).interleave(
        tf.data.TFRecordDataset, cycle_length=reads, num_parallel_calls=reads, deterministic=True
    )


def first_records(files: Sequence[str], split: str, count: int) -> list[bytes]:
    """Return up to ``count`` serialized rows, the first in the files' order.

    Raises:
        ArtifactError: The split has no rows.
    """
    records = [record.numpy() for record in read_records(files, InputOptions()).take(count)] if files else []
    if not records:
        raise _empty(files, split)
    return records


def count_rows(files: Sequence[str], split: str, options: InputOptions) -> Split:
    """Read a split once to its end, so that damage is found before training and the number of rows is known.

    Raises:
        ArtifactError: The split has no rows, or a file is damaged or not there.
    """
    total = 0
    with reading(files):
        for file, (rows, data_bytes) in zip(files, _sizes(files, options), strict=True):
            if file.endswith(".gz"):
                _require_whole_gzip(file, data_bytes + rows * _RECORD_OVERHEAD)
            total += rows
    if not total:
        raise _empty(files, split)
    return Split(tuple(files), total)


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


def _with_compression(files: Sequence[str]) -> tuple[list[str], list[str]]:
    return list(files), ["GZIP" if file.endswith(".gz") else "" for file in files]


def _sizes(files: Sequence[str], options: InputOptions) -> Iterator[tuple[int, int]]:
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

    files_and_compression = tf.data.Dataset.from_tensor_slices(_with_compression(files))
    sizes = files_and_compression.map(measure, num_parallel_calls=_parallel_reads(options), deterministic=True)
    for rows, data_bytes in sizes.as_numpy_iterator():
        yield int(rows), int(data_bytes)


def _require_whole_gzip(file: str, expected_bytes: int) -> None:
    """Check that no end is missing: TensorFlow takes a gzip file cut between two records for a shorter one.

    The last four bytes of a gzip member are its size. Where they do not agree, the file may still be whole, of several
    members; Python's gzip then reads it to its end, which is slower but sure.

    Raises:
        ArtifactError: The file is cut.
    """
    with tf.io.gfile.GFile(file, "rb") as stream:
        length = stream.size()
        if length:
            stream.seek(max(0, length - 4))
            if stream.read() == struct.pack("<I", expected_bytes % 2**32):
                return
            stream.seek(0)
    if not length:
        raise _damaged(file, "the file has no bytes, and even an empty gzip file has a header")
    try:
        with tf.io.gfile.GFile(file, "rb") as stream, gzip.GzipFile(fileobj=stream) as content:
            while content.read(_CHUNK_BYTES):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(file, f"the gzip file is cut short or damaged ({error})") from error


def _is_parse_error(error: Exception) -> bool:
    text = str(error)
    return any(sign in text for sign in ("Could not parse example", "Key: ", "Feature: "))


def _damage(file: str) -> str | None:
    """Read a file to its end and return what TensorFlow says is wrong with it."""
    try:
        for _ in read_records([file], InputOptions()):
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
