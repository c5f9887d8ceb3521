"""Runs training and evaluation steps inside TensorFlow, many in one call.

Keras 3's own ``fit`` cannot run under MultiWorkerMirroredStrategy (keras#20585) and ParameterServerStrategy
(keras#18624). Its ``train_step`` can: it is called inside ``strategy.run``, in a loop that does not return to Python
between two steps. Loss, metrics and gradients stay Keras's, an overridden ``train_step`` included.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from penstock.components.trainer.feed import Feed
from penstock.components.trainer.gradients import DENSE, Exchange, GradientWatch, measure_exchange, rows_follow_batches
from penstock.components.trainer.keras_backend import Keras, underlying
from penstock.components.trainer.replica_state import levelling
from penstock.components.trainer.step_functions import evaluation_loop, sum_over, training_loop


@dataclass(frozen=True)
class Execution:
    """What one call into TensorFlow did.

    Args:
        steps: Steps taken, a count of global batches.
        seconds: Wall time of the call.
        waiting: Seconds of it in which the step waited for its batch.
        bad_step: First step of the call, from 0, after which the loss was NaN or infinite; None if there was none.
    """

    steps: int
    seconds: float
    waiting: float
    bad_step: int | None

    def then(self, later: Execution) -> Execution:
        """Return this call and the next one as one."""
        bad = later.bad_step if later.bad_step is None else self.steps + later.bad_step
        return Execution(
            self.steps + later.steps,
            self.seconds + later.seconds,
            self.waiting + later.waiting,
            bad if self.bad_step is None else self.bad_step,
        )


@dataclass(frozen=True)
class EngineData:
    """The batches of a training.

    Args:
        training: Returns the per-replica batches of this process's replicas in turn, without end.
        evaluation: One pass of the same kind, the same number for each replica; a batch may have no rows.
        evaluation_steps: Steps of that pass, a count.
        workers: Processes that train together, a count.
        worker: This one's number among them, from 0.
        feed: Hands the batches to the replicas.
        alike: Returns, for the steps taken since the start, how many of the next ones have batches of one shape.
    """

    training: Callable[[], Any]
    evaluation: Any
    evaluation_steps: int
    feed: Feed
    workers: int = 1
    worker: int = 0
    alike: Callable[[int], int] = lambda _taken: 1


class Engine(Protocol):
    """Takes steps under one kind of strategy."""

    def train(self, steps: int) -> Execution:
        """Take steps on the next batches of the training data."""

    def evaluate(self) -> None:
        """Update the metrics with one pass over the evaluation data."""

    def local_logs(self) -> dict[str, float]:
        """Return loss and metrics so far as this process alone knows them; this costs no communication."""

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Return the values of every worker, so that they all decide alike. Every worker must call it."""

    def exchange(self) -> Exchange | None:
        """Measure what one exchange of gradients costs; None where there is none or it cannot be told."""


class SyncEngine:
    """Steps in which all replicas take part and wait for each other, or the only replica works alone.

    Args:
        model: The compiled model, with all variables built under the strategy.
        strategy: The strategy.
        data: The batches.
        keras: The model's Keras.
        jit_compile: Compile the training step with XLA.
        deterministic: TensorFlow is set to deterministic operations.
    """

    def __init__(
        self,
        model: Any,
        strategy: Any,
        data: EngineData,
        *,
        keras: Keras,
        jit_compile: bool = False,
        deterministic: bool = False,
    ) -> None:
        self._model = model
        self._strategy = strategy
        self._data = data
        self._several = strategy.num_replicas_in_sync > 1
        self._rows: list[int] = []
        self._taken = 0
        self._rows_follow_batches = self._several and rows_follow_batches(model)
        watch = GradientWatch(model.optimizer, enabled=self._several and not jit_compile)
        self._training = data.feed.iterator(data.training())
        self._evaluation: Any = None
        loop = training_loop(model, strategy, data.feed, watch, jit_compile=jit_compile, deterministic=deterministic)
        self._train = tf.function(loop)
        self._evaluate = tf.function(evaluation_loop(strategy, data.feed, partial(keras.test_step, model)))
        self._logs = tf.function(partial(_on_replicas, strategy, partial(keras.epoch_results, model)), autograph=False)
        self._sum = tf.function(sum_over(strategy))
        self._level = levelling(underlying(model.weights))

    def train(self, steps: int) -> Execution:
        """Take steps on the next batches of the training data."""
        done = self._call(min(steps, self._together()))
        while done.steps < steps:
            done = done.then(self._call(min(steps - done.steps, self._together())))
        return done

    def _call(self, steps: int) -> Execution:
        began = time.perf_counter()
        waiting, bad_step, rows = self._train(self._training, tf.constant(steps, tf.int64))
        bad = int(bad_step)
        seconds = time.perf_counter() - began
        self._rows = rows.numpy().tolist()
        self._taken += steps
        return Execution(steps, seconds, float(waiting), None if bad < 0 else bad)

    def _together(self) -> int:
        """Return how many steps the next call may take.

        Replicas gather each other's sparse gradients. TensorFlow keeps the shape of what a collective operation gathers
        for as long as a call lasts, and fails on another one: "Shape mismatch in the collective instance".
        """
        if not self._several or (self._taken and all(rows == DENSE for rows in self._rows)):
            return sys.maxsize
        # The first step tells which gradients are sparse.
        return self._data.alike(self._taken) if self._taken and self._rows_follow_batches else 1

    def evaluate(self) -> None:
        """Update the metrics with one pass over the evaluation data."""
        self._level()
        if self._evaluation is None:
            self._evaluation = self._data.feed.iterator(self._data.evaluation)
        self._evaluate(self._evaluation, tf.constant(self._data.evaluation_steps, tf.int64))

    def local_logs(self) -> dict[str, float]:
        """Return loss and metrics so far as this process's first replica knows them."""
        values = self._logs()
        return {name: float(self._strategy.experimental_local_results(value)[0]) for name, value in values.items()}

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Return the values of every worker, this one's among them."""
        if self._data.workers == 1:
            return [list(values)]
        table = np.zeros([self._data.workers, len(values)])
        table[self._data.worker] = values
        # Each replica of a worker adds the worker's row.
        summed = self._sum(tf.constant(table)) * self._data.workers / self._strategy.num_replicas_in_sync
        return [[float(value) for value in row] for row in summed]

    def exchange(self) -> Exchange | None:
        """Measure what one exchange of gradients costs; None with one replica."""
        if not self._several:
            return None
        variables = list(underlying(self._model.trainable_variables))
        return measure_exchange(self._strategy, variables, self._rows)


def _on_replicas(strategy: Any, function: Callable[[], Any]) -> Any:
    return strategy.run(function)
