"""What the exchange of gradients between replicas costs."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import tensorflow as tf

DENSE = -1
"""Stands in place of the rows of a gradient that is not sparse. All workers know alike which those are."""
_ROUNDS = 5


@dataclass(frozen=True)
class Exchange:
    """One exchange of gradients, as a replica takes part in it.

    Args:
        bytes: Size of the gradients that a replica hands in each step; sparse ones with their row numbers.
        seconds: Time of the exchange alone, the median of a few.
    """

    bytes: int
    seconds: float


class GradientWatch:
    """Learns which gradients are sparse, and how many rows they hold, while the steps go on.

    An embedding's gradient holds only the rows of the batch; without looking, its whole table would count as
    exchanged.

    Args:
        optimizer: The model's optimizer; what applies the gradients is wrapped.
        enabled: False leaves the optimizer alone, where nothing is exchanged.
    """

    def __init__(self, optimizer: Any, *, enabled: bool) -> None:
        # Replicas are traced in threads of their own, which take turns in the middle of applying.
        self._seen = threading.local()
        if enabled and hasattr(optimizer, "apply"):  # Keras 3, whose apply_gradients calls it.
            optimizer.apply = self._applies(optimizer.apply)
        elif enabled:
            optimizer.apply_gradients = self._applies_pairs(optimizer.apply_gradients)

    def rows(self) -> Any:
        """Return the rows of each gradient of the step just traced, int64 [variables], or :data:`DENSE`."""
        return tf.stack(getattr(self._seen, "rows", None) or [tf.constant(DENSE, tf.int64)])

    def _applies(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        def watched(gradients: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
            return apply(self._look(gradients), *args, **kwargs)

        return watched

    def _applies_pairs(self, apply: Callable[..., Any]) -> Callable[..., Any]:
        def watched(grads_and_vars: Iterable[tuple[Any, Any]], *args: Any, **kwargs: Any) -> Any:
            gradients, variables = zip(*grads_and_vars, strict=True)
            return apply(list(zip(self._look(gradients), variables, strict=True)), *args, **kwargs)

        return watched

    def _look(self, gradients: Iterable[Any]) -> list[Any]:
        exchanged = [_with_a_row(gradient) for gradient in gradients]
        self._seen.rows = [_sparse_rows(gradient) for gradient in exchanged]
        return exchanged


def measure_exchange(strategy: Any, variables: Sequence[Any], rows: Sequence[int]) -> Exchange:
    """Exchange tensors of the gradients' sizes a few times, and nothing else. All workers must take part.

    Args:
        strategy: The strategy.
        variables: The trainable variables.
        rows: Rows of each gradient, as :meth:`GradientWatch.rows` gives them.
    """
    sparse = list(rows) if len(rows) == len(variables) else [DENSE] * len(variables)

    def replica(*, exchange: bool) -> list[Any]:
        context = tf.distribute.get_replica_context()
        values = [_like_gradient(variable, count) for variable, count in zip(variables, sparse, strict=True)]
        summed = context.all_reduce(tf.distribute.ReduceOp.SUM, values) if exchange else values
        # One number of each, so that nothing is optimized away and nothing large is returned.
        return [tf.reshape(tf.convert_to_tensor(getattr(value, "values", value)), [-1])[0] for value in summed]

    calls = [tf.function(partial(_on_replicas, strategy, partial(replica, exchange=on))) for on in (True, False)]
    with_exchange, without = (_median_seconds(call) for call in calls)
    size = sum(_gradient_bytes(variable, count) for variable, count in zip(variables, sparse, strict=True))
    return Exchange(size, max(0.0, with_exchange - without))


def rows_follow_batches(model: Any) -> bool:
    """Return whether a sparse gradient has as many rows in every step whose batch has the same shape.

    It has not where a layer's output varies in more than the batch, as a TextVectorization's does that pads to the
    longest text. Models and layers that do not show their shapes are taken for such.
    """
    if not getattr(model, "inputs", None):
        return False
    return all(rows_follow_batches(layer) if hasattr(layer, "layers") else _is_rigid(layer) for layer in model.layers)


def _is_rigid(layer: Any) -> bool:
    if type(layer).__module__.partition(".")[0] not in ("keras", "tf_keras"):
        return False
    try:
        outputs = tf.nest.flatten(layer.output)
    except AttributeError:  # tf_keras has none for a layer that is used twice.
        return False
    return all(None not in tuple(output.shape)[1:] for output in outputs)


def _on_replicas(strategy: Any, function: Callable[[], Any]) -> Any:
    return strategy.run(function)


def _sparse_rows(gradient: Any) -> Any:
    if isinstance(gradient, tf.IndexedSlices):
        return tf.size(gradient.indices, tf.int64)
    return tf.constant(DENSE, tf.int64)


def _with_a_row(gradient: Any) -> Any:
    """Give a sparse gradient without rows, as of texts without words, one of zeros.

    TensorFlow's process dies if replicas gather rows and none has any.
    """
    if not isinstance(gradient, tf.IndexedSlices):
        return gradient

    def zeros() -> Any:
        shape = tf.concat([[1], tf.shape(gradient.values)[1:]], axis=0)
        return tf.IndexedSlices(
            tf.zeros(shape, gradient.values.dtype), tf.zeros([1], gradient.indices.dtype), gradient.dense_shape
        )

    return tf.cond(tf.size(gradient.indices) > 0, lambda: gradient, zeros)


def _like_gradient(variable: Any, rows: int) -> Any:
    # An exchange goes to the devices that its tensors name.
    with tf.device(variable.device):
        value = tf.identity(tf.convert_to_tensor(variable))
        if rows == DENSE:
            return value
        indices = tf.range(rows) % tf.shape(value)[0]
        return tf.IndexedSlices(tf.gather(value, indices), indices, tf.shape(value))


def _gradient_bytes(variable: Any, rows: int) -> int:
    shape, item = variable.shape.as_list(), variable.dtype.size
    if rows == DENSE:
        return int(variable.shape.num_elements() * item)
    return int(rows * (tf.TensorShape(shape[1:]).num_elements() * item + tf.int32.size))


def _median_seconds(call: Callable[[], Any]) -> float:
    call()
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        tf.nest.map_structure(lambda value: value, call())
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)
