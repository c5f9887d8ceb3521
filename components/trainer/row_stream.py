"""One pass over the rows after another, shuffled, as one stream that may begin anywhere.

A stream is a ``tf.data.Dataset`` of blocks: nested tensors whose first dimension is rows. Where one block ends and the
next begins means nothing; the order of rows means everything, and depends on the seed and the number of the pass alone.
Blocks exist because TensorFlow takes about as long to hand over one row as a thousand.

Rows are shuffled in windows. The first window of a pass has a random length, so that the windows of no two passes hold
the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

_BLOCK_ROWS = 1024
"""Rows of a block, a count, at most: of more, TensorFlow's cost for each block is no longer seen."""
_BLOCK_BYTES = 1 << 20
"""Bytes of a block, about, at most: large rows cost little more one by one, and several blocks are in memory."""
_STRING_BYTES = 64
"""Size that a string is taken for, in bytes."""


@dataclass(frozen=True)
class Source:
    """Where the rows of a pass come from.

    Args:
        blocks: Returns all rows of a pass, as blocks; takes the pass's seed, int64 [2], for what it may shuffle by
            itself.
        rows: Rows of a pass, a count.
        window: Rows that are shuffled together, a count; 0 keeps the order.
        block_rows: Rows of the blocks that are made of them, a count.
    """

    blocks: Callable[[Any], Any]
    rows: int
    window: int
    block_rows: int = _BLOCK_ROWS


def rows_of_block(row_bytes: int) -> int:
    """Return how many rows of a size to hand over at once, a count."""
    return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(1, row_bytes)))


def bytes_of_row(spec: Any) -> int:
    """Return about how large one row of an element spec is, in bytes; of a dimension that varies, one value counts.

    Args:
        spec: Nested TensorSpecs and RaggedTensorSpecs whose first dimension is rows.
    """
    sizes = [[size or 1 for size in part.shape[1:]] for part in tf.nest.flatten(spec)]
    types = [part.dtype.size or _STRING_BYTES for part in tf.nest.flatten(spec)]
    return sum(math.prod(shape) * value_bytes for shape, value_bytes in zip(sizes, types, strict=True))


def row_stream(source: Source, *, seed: int, used: int, start: int = 0, end: int | None = None) -> Any:
    """Return the rows from ``start`` to ``end`` of the passes' rows, one pass after another.

    The next window is read while one is used, also that of the next pass. About three windows are in memory.

    Args:
        source: Where the rows come from.
        seed: Seed of the order.
        used: Rows taken of each pass, a count; the last of its order are left out.
        start: Number of the first row, of those taken, counted from the first pass on.
        end: Number of the row before which the stream ends, or None for an endless stream.

    Returns:
        A dataset of blocks.
    """
    passes = tf.data.Dataset.counter(start // used)
    if end is not None:
        passes = passes.take(max(0, -(-end // used) - start // used))

    def one_pass(number: Any) -> Any:
        before = number * used
        stop = tf.constant(used, tf.int64) if end is None else tf.minimum(end - before, used)
        return _windows(source, _part(tf.constant([seed, 0], tf.int64), number), start - before, stop)

    def in_order(order: Any, window: Any) -> Any:
        blocks = tf.data.Dataset.from_tensors(order).rebatch(source.block_rows)
        return blocks.map(lambda rows: tf.nest.map_structure(lambda part: tf.gather(part, rows), window))

    return passes.flat_map(one_pass).prefetch(1).flat_map(in_order)


def _windows(source: Source, seed: Any, begin: Any, end: Any) -> Any:
    """Return a pass as windows, each with the numbers of its rows in their new order.

    Args:
        source: Where the rows come from.
        seed: The pass's seed, int64 [2].
        begin: Row of the new order to begin with, int64 [].
        end: Row of the new order before which to end, int64 [].
    """
    size = source.window or source.block_rows
    first = tf.constant(min(size, source.rows), tf.int64)
    if source.window and source.rows > size:
        first = tf.random.stateless_uniform([], _part(seed, -1), 1, size + 1, tf.int64, alg="philox")
    sizes = tf.concat([first[None], tf.fill([-(-source.rows // size)], tf.constant(size, tf.int64))], axis=0)

    def with_order(number: Any, window: Any) -> Any:
        rows = tf.shape(tf.nest.flatten(window)[0], tf.int64)[0]
        order = tf.range(rows)
        if source.window:
            order = tf.random.experimental.stateless_shuffle(order, _part(seed, number), alg="philox")
        before = tf.where(number == 0, tf.constant(0, tf.int64), first + (number - 1) * size)
        return order[tf.clip_by_value(begin - before, 0, rows) : tf.clip_by_value(end - before, 0, rows)], window

    return source.blocks(_part(seed, -2)).rebatch(sizes).enumerate().map(with_order)


def _part(seed: Any, number: Any) -> Any:
    """Return a seed for one of the uses of a pass's seed."""
    return tf.random.experimental.stateless_fold_in(seed, tf.cast(number, tf.int64))
