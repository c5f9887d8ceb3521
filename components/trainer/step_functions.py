"""The loops that TensorFlow runs: many training or evaluation steps without coming back to Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from penstock.components.trainer.feed import Feed
from penstock.components.trainer.gradients import GradientWatch

NEVER = -1
"""Number of the bad step where there was none."""


def training_loop(
    model: Any, strategy: Any, feed: Feed, watch: GradientWatch, *, jit_compile: bool, deterministic: bool = False
) -> Callable[[Any, Any], Any]:
    """Return a function of (iterator, steps) that trains.

    It returns seconds spent waiting for batches (float64), the first step after which the loss was not finite (int64,
    from 0, or :data:`NEVER`), and the rows of each gradient (int64 [variables]). Waiting is the time from the end of
    a step to the moment at which the next batch is there.
    """
    train_step = tf.function(model.train_step, jit_compile=True) if jit_compile else model.train_step
    timestamp = _timestamp_from_python if deterministic else tf.timestamp

    def replica(batch: Any) -> tuple[Any, Any]:
        logs = train_step(feed.mine(batch))
        return _is_finite(logs), watch.rows()

    # A function of its own, so that what follows it waits for all that the step does, not for its loss alone.
    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def one_step(batch: Any) -> tuple[Any, Any]:
        finite, rows = strategy.run(replica, args=(batch,))
        locally = strategy.experimental_local_results
        return tf.reduce_all(tf.stack(locally(finite))), locally(rows)[0]

    def loop(iterator: Any, steps: Any) -> tuple[Any, Any, Any]:
        def body(step: Any, clock: Any, waiting: Any, bad: Any, _rows: Any) -> tuple[Any, ...]:
            batch = feed.take(iterator)
            with tf.control_dependencies([clock, *_tensors(batch)]):
                ready = timestamp()
            # Else the step might begin before that moment is noted, and on one core end.
            with tf.control_dependencies([ready]):
                finite, rows = one_step(batch)
            with tf.control_dependencies([finite]):
                now = timestamp()
            bad = tf.where(tf.logical_or(finite, bad >= 0), bad, step)
            return step + 1, now, waiting + (ready - clock), bad, rows

        zero = tf.zeros([], tf.int64)
        start = (zero, timestamp(), tf.zeros([], tf.float64), tf.constant(NEVER, tf.int64), tf.zeros([0], tf.int64))
        shapes = (*(tf.TensorShape([]),) * 4, tf.TensorShape([None]))
        _, _, waiting, bad, rows = tf.while_loop(
            lambda step, *_: step < steps, body, start, shape_invariants=shapes, parallel_iterations=1
        )
        return waiting, bad, rows

    return loop


def evaluation_loop(strategy: Any, feed: Feed, test_step: Callable[[Any], None]) -> Callable[[Any, Any], Any]:
    """Return a function of (iterator, steps) that updates the metrics; batches without rows change nothing.

    Args:
        strategy: The strategy.
        feed: Hands the batches to the replicas.
        test_step: Updates the metrics with one batch, inside a replica and a ``tf.cond``.
    """

    def replica(batches: Any) -> None:
        batch = feed.mine(batches)

        def update() -> Any:
            test_step(batch)
            return _nothing()

        tf.cond(tf.shape(_tensors(batch)[0])[0] > 0, update, _nothing)

    def loop(iterator: Any, steps: Any) -> None:
        def body(step: Any) -> Any:
            strategy.run(replica, args=(feed.take(iterator),))
            return step + 1

        tf.while_loop(lambda step: step < steps, body, [tf.zeros([], tf.int64)], parallel_iterations=1)

    return loop


def sum_over(strategy: Any) -> Callable[[Any], Any]:
    """Return a function of a tensor that gives its sum over all replicas; all workers must call it."""

    def total(values: Any) -> Any:
        per_replica = strategy.run(tf.identity, args=(values,))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, per_replica, axis=None)

    return total


def _timestamp_from_python() -> Any:
    """Return what ``tf.timestamp`` does, more slowly: that refuses to work beside deterministic operations."""
    return tf.ensure_shape(tf.numpy_function(time.time, [], tf.float64), [])


def _nothing() -> Any:
    return tf.constant(0)


def _is_finite(logs: Any) -> Any:
    loss = logs.get("loss") if isinstance(logs, dict) else None
    return tf.ones([], tf.bool) if loss is None else tf.reduce_all(tf.math.is_finite(loss))


def _tensors(batch: Any) -> list[Any]:
    return [tensor for tensor in tf.nest.flatten(batch, expand_composites=True) if tensor is not None]
