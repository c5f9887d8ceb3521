"""From a stream of rows to the batches of this process's replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import tensorflow as tf

from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.row_stream import Source, bytes_of_row, row_stream, rows_of_block
from penstock.components.trainer.schedule import Schedule
from penstock.components.trainer.sharding import BatchPlan

Convert = Callable[..., Any]


@dataclass(frozen=True)
class Rows:
    """Rows, and how they become what the model's steps take.

    Args:
        source: The rows.
        convert: Turns a block of them into a batch; row by row, so that it may take many batches at once. It is a
            ``tf.function``, since it is used more than once and should be traced once.
    """

    source: Source
    convert: Convert


def training_batches(rows: Rows, schedule: Schedule, options: InputOptions) -> Any:
    """Return the training batches of this process's replicas, those of a step one after the other.

    Args:
        rows: The rows that this process reads.
        schedule: Which steps.
        options: How to read.
    """
    if options.cache == "memory":
        rows = keep(rows, shuffle=options.shuffle_buffer > 0)
    plan, end = schedule.plan, schedule.end_step
    by_file = plan.sharding == "file"
    stream = row_stream(
        rows.source,
        seed=schedule.passes.seed,
        used=rows.source.rows if by_file else schedule.rows_per_epoch,
        start=schedule.rows_before(schedule.start_step),
        end=None if end is None else schedule.rows_before(end),
    )
    if plan.workers > 1 and not by_file:
        shares = stream.rebatch(schedule.batch_sizes(plan.workers, plan.local_replicas))
        stream = shares.shard(plan.workers, plan.worker)
    sizes = None if plan.static_batches else schedule.batch_sizes(plan.local_replicas, 1)
    batches = _batches(stream, rows, plan.batch_size, sizes)
    if end is None:
        return _finished(batches, tf.data.INFINITE_CARDINALITY, options)
    return _finished(batches, max(0, end - schedule.start_step) * plan.local_replicas, options)


def evaluation_batches(rows: Rows, plan: BatchPlan, options: InputOptions, *, most_rows: int) -> Any:
    """Return the evaluation batches of this process's replicas, the same number for each of all workers.

    Args:
        rows: The rows that this process reads.
        plan: Who sees how many rows.
        options: How to read.
        most_rows: Rows that the worker with most of them reads, a count.
    """
    by_file = plan.sharding == "file"
    step_rows = plan.batch_size * (plan.local_replicas if by_file else plan.replicas)
    steps = plan.steps_per_epoch(most_rows) if plan.static_batches else -(-most_rows // step_rows)
    stream = rows.source.blocks(None)
    if plan.static_batches:
        stream = stream.rebatch(step_rows, drop_remainder=True)
    if plan.workers > 1 and not by_file:
        stream = stream.rebatch(plan.batch_size * plan.local_replicas).shard(plan.workers, plan.worker)
    sizes = None if plan.static_batches else plan.batch_size
    batches = _batches(stream, rows, plan.batch_size, sizes)
    count = steps * plan.local_replicas
    if not plan.static_batches:
        empty = tf.data.Dataset.from_tensors(tf.nest.map_structure(_no_rows, batches.element_spec))
        batches = batches.concatenate(empty.repeat()).take(count)
    if options.cache == "memory":
        batches = batches.cache()
    return _finished(batches, count, options)


def keep(rows: Rows, *, shuffle: bool) -> Rows:
    """Read all rows into memory and return what gives row numbers in their stead.

    To shuffle and gather row numbers costs less than to shuffle rows. Rows of fixed shape are kept converted. Others
    are kept as they are, since how far they are padded depends on the batch.

    Args:
        rows: What to keep.
        shuffle: Whether passes are shuffled, all rows together.
    """
    source, convert = rows.source, rows.convert
    blocks = source.blocks(None)
    at_once = _rows_at_once(blocks, rows)
    kept = _converted(blocks.rebatch(at_once), convert) if at_once else blocks
    everything = kept.rebatch(source.rows).get_single_element()

    def gather(numbers: Any) -> Any:
        gathered = tf.nest.map_structure(lambda part: tf.gather(part, numbers), everything)
        return gathered if at_once else convert(gathered)

    numbers = tf.data.Dataset.from_tensors(tf.range(source.rows))
    window = source.rows if shuffle else 0
    return Rows(Source(lambda _seed: numbers, source.rows, window, source.block_rows), tf.function(gather))


def _batches(stream: Any, rows: Rows, batch: int, sizes: Any | None) -> Any:
    """Convert rows and cut them into batches of ``sizes``, over and over, or all of ``batch`` rows where that is None.

    Rows of fixed shape are converted many batches at a time and cut afterwards: one call into each operation then does
    for all. Rows of varying length are padded to the longest of their own batch, so those are cut first.
    """

    def cut(blocks: Any) -> Any:
        return blocks.rebatch(batch, drop_remainder=True) if sizes is None else blocks.rebatch(sizes)

    at_once = _rows_at_once(stream, rows)
    if not at_once:
        return _converted(cut(stream), rows.convert)
    return cut(_converted(stream.rebatch(batch * max(1, at_once // batch)), rows.convert))


def _rows_at_once(blocks: Any, rows: Rows) -> int:
    """Return how many rows to convert in one call, a count; 0 where their shape varies."""
    spec = blocks.map(rows.convert).element_spec
    if not all(part.shape[1:].is_fully_defined() for part in tf.nest.flatten(spec)):
        return 0
    return min(rows.source.block_rows, rows_of_block(bytes_of_row(spec)))


def _converted(blocks: Any, convert: Convert) -> Any:
    return blocks.map(convert, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _no_rows(spec: Any) -> Any:
    return tf.zeros([0, *(size or 0 for size in spec.shape[1:])], spec.dtype)


def _finished(batches: Any, count: int, options: InputOptions) -> Any:
    """Tell tf.data the number of batches, so that one too few or too many is an error, and prepare some ahead."""
    counted = batches.apply(tf.data.experimental.assert_cardinality(count))
    return counted.prefetch(_or_autotune(options.prefetch))


def _or_autotune(value: int | Literal["auto"]) -> int:
    return int(tf.data.AUTOTUNE) if value == "auto" else value
