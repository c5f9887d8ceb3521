"""From TFRecord files to batches: read in parallel, parsed a batch at a time, transformed, cached, shuffled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from penstock.components.trainer.config import InputOptions
from penstock.components.trainer.feature_specs import FeatureSpec, fill_value
from penstock.components.trainer.records import Split, read_records

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
