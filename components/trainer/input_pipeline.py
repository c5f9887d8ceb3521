"""From TFRecord files to batches: read in parallel, parsed a batch at a time, transformed, cached, shuffled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from penstock.components.trainer.config import InputOptions
from penstock.components.trainer.feature_specs import FeatureSpec, fill_value
from penstock.errors import ArtifactError
from penstock.serving.saved_model import tensorflow_message

_AUTO_READS = 8
"""Fixed, not taken from the machine: the number of files read at once decides the order of rows."""
_BLOCK_ROWS = 1024


@dataclass(frozen=True)
class RowParser:
    """Turns a batch of serialized tf.Examples into what ``fit`` takes.

    Args:
        spec: How the files' rows are parsed.
        transform: Applied to a parsed batch; returns dense features.
        inputs: The features that the model takes.
        label: The label feature.
        single: The model takes its one input as a bare tensor, not by name.
    """

    spec: FeatureSpec
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    inputs: tuple[str, ...]
    label: str
    single: bool = False

    def __call__(self, serialized: Any) -> tuple[Any, Any]:
        """Return (inputs, label) of a batch, both with the batch as first dimension."""
        rows = self.transform(tf.io.parse_example(serialized, dict(self.spec)))
        inputs = {name: rows[name] for name in self.inputs}
        return (inputs[self.inputs[0]] if self.single else inputs), rows[self.label]


@dataclass(frozen=True)
class Split:
    """The TFRecord files of a split and the number of rows in them."""

    files: tuple[str, ...]
    rows: int


def training_data(split: Split, parser: RowParser, options: InputOptions, *, batch: int, seed: int) -> Any:
    """Return the training rows of one pass, in an order that depends on the seed and on the pass.

    Args:
        split: What to read.
        parser: Applied a batch at a time.
        options: How to read.
        batch: Rows of a global batch.
        seed: Seed of the order.
    """
    if options.cache == "memory":
        return _from_memory(split, parser, options, batch=batch, seed=seed)
    records = read_records(split.files, options)
    if options.shuffle_buffer:
        records = records.shuffle(options.shuffle_buffer, seed=seed, reshuffle_each_iteration=True)
    return _counted(_parsed(records.batch(batch), parser), split, batch).prefetch(_or_autotune(options.prefetch))


def evaluation_data(split: Split, parser: RowParser, options: InputOptions, *, batch: int) -> Any:
    """Return the evaluation rows once, in the files' order."""
    rows = _counted(_parsed(read_records(split.files, options).batch(batch), parser), split, batch)
    if options.cache == "memory":
        rows = rows.cache()
    return rows.prefetch(_or_autotune(options.prefetch))


def read_records(files: Sequence[str], options: InputOptions) -> Any:
    """Return the serialized rows of TFRecord files, ``.gz`` ones decompressed, in an order that is always the same."""
    compression = ["GZIP" if file.endswith(".gz") else "" for file in files]
    reads = _AUTO_READS if options.parallel_reads == "auto" else options.parallel_reads
    return tf.data.Dataset.from_tensor_slices((list(files), compression)).interleave(
        tf.data.TFRecordDataset,
        cycle_length=min(reads, len(files)),
        num_parallel_calls=min(reads, len(files)),
        deterministic=True,
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
    """Read a split once to its end, so that a damaged file is found before training and its length is known.

    Raises:
        ArtifactError: The split has no rows, or a file is damaged or not there.
    """
    with reading(files):
        empty = [file for file in files if file.endswith(".gz") and tf.io.gfile.stat(file).length == 0]
        if empty:
            raise _damaged(empty[0], "the file has no bytes, and even an empty gzip file has a header")
        rows = _row_count(files, options) if files else 0
    if rows:
        return Split(tuple(files), rows)
    raise _empty(files, split)


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
            where=str(files[0]).rpartition("/")[0] if files else None,
            expected="rows with the types, shapes and required features of the schema",
            hint="compare the schema with the data: an ExampleValidator step lists the anomalies",
        ) from error


def _empty(files: Sequence[str], split: str) -> ArtifactError:
    return ArtifactError(
        f"split {split!r} is empty",
        where=str(files[0]).rpartition("/")[0] if files else None,
        received=f"no row in {len(files)} files",
        expected="at least one tf.Example",
        hint="look at the split's share in the ExampleGen step's output_config",
    )


def _row_count(files: Sequence[str], options: InputOptions) -> int:
    sizes = read_records(files, options).batch(_BLOCK_ROWS).map(lambda block: tf.size(block, out_type=tf.int64))
    return int(sizes.reduce(tf.constant(0, tf.int64), lambda total, size: total + size))


def _counted(batches: Any, split: Split, batch: int) -> Any:
    """Tell tf.data the number of batches; Keras warns of an input that ends unannounced."""
    return batches.apply(tf.data.experimental.assert_cardinality(-(-split.rows // batch)))


def _from_memory(split: Split, parser: RowParser, options: InputOptions, *, batch: int, seed: int) -> Any:
    """Keep every row in memory and shuffle row numbers, which costs less than shuffling rows."""
    parsed = _parsed(read_records(split.files, options).batch(_BLOCK_ROWS), parser).prefetch(tf.data.AUTOTUNE)
    blocks = [tf.nest.map_structure(lambda tensor: tensor.numpy(), block) for block in parsed]
    rows = tf.nest.map_structure(lambda *parts: tf.constant(_joined(parts)), *blocks)
    numbers = tf.data.Dataset.range(split.rows)
    if options.shuffle_buffer:
        numbers = numbers.shuffle(split.rows, seed=seed, reshuffle_each_iteration=True)

    def gather(selected: Any) -> Any:
        return tf.nest.map_structure(lambda tensor: tf.gather(tensor, selected), rows)

    batches = numbers.batch(batch).map(gather, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return batches.prefetch(_or_autotune(options.prefetch))


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Concatenate blocks; where rows vary in length, shorter blocks are padded as a batch of them all would be."""
    longest = np.max([part.shape[1:] for part in parts], axis=0)

    def padded(part: np.ndarray) -> np.ndarray:
        missing = [(0, 0), *((0, int(size) - have) for size, have in zip(longest, part.shape[1:], strict=True))]
        fill = fill_value(tf.as_dtype(part.dtype))
        return np.pad(part, missing, constant_values=fill) if any(after for _, after in missing) else part

    return np.concatenate([padded(part) for part in parts])


def _parsed(batches: Any, parser: RowParser) -> Any:
    return batches.map(parser, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _or_autotune(value: int | Literal["auto"]) -> int:
    return int(tf.data.AUTOTUNE) if value == "auto" else value


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
