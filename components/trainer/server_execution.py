"""Training steps under ParameterServerStrategy: a coordinator hands them to workers that do not wait for each other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import tensorflow as tf

from penstock.components.trainer.execution import EngineData, Execution
from penstock.components.trainer.gradients import Exchange, GradientWatch
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.step_functions import training_loop

_CALLS_PER_WORKER = 4
"""Calls that a share of steps is cut into for each worker, so that a slow one does not hold up the others for long."""


class ServerEngine:
    """The coordinator's side: schedules steps on the workers, evaluates by itself.

    Each worker reads every n-th batch of the training data. Which worker takes which step is not determined, so two
    runs differ.

    Args:
        model: The compiled model, with all variables built under the strategy.
        strategy: A ParameterServerStrategy.
        data: The batches; ``workers`` is the number of workers that compute.
        keras: The model's Keras.
        asynchronous: With false all workers wait at the end of each round of one step a worker.
        jit_compile: Compile the training step with XLA.
    """

    def __init__(
        self,
        model: Any,
        strategy: Any,
        data: EngineData,
        *,
        keras: Keras,
        asynchronous: bool = True,
        jit_compile: bool = False,
    ) -> None:
        self._model = model
        self._strategy = strategy
        self._data = data
        self._keras = keras
        self._asynchronous = asynchronous
        self._coordinator = tf.distribute.coordinator.ClusterCoordinator(strategy)
        self._training = iter(self._coordinator.create_per_worker_dataset(self._worker_data))
        watch = GradientWatch(model.optimizer, enabled=False)
        self._train = tf.function(training_loop(model, strategy, data.feed, watch, jit_compile=jit_compile))
        self._evaluate = tf.function(partial(keras.test_step, model), reduce_retracing=True)

    def train(self, steps: int) -> Execution:
        """Let the workers take steps, and wait until all are done."""
        began = time.perf_counter()
        rounds = self._cut(steps)
        waited, bad_step, before = 0.0, None, 0
        for calls in rounds:
            values = [self._coordinator.schedule(self._train, args=(self._training, self._count(n))) for n in calls]
            self._coordinator.join()
            for count, value in zip(calls, values, strict=True):
                waiting, bad, _rows = value.fetch()
                waited += float(waiting)
                if bad >= 0 and bad_step is None:
                    bad_step = before + int(bad)
                before += count
        busy = min(self._data.workers, steps)
        return Execution(steps, time.perf_counter() - began, waited / busy, bad_step)

    def evaluate(self) -> None:
        """Update the metrics with one pass over the evaluation data, on the coordinator."""
        for batch in self._data.evaluation:
            if int(tf.shape(tf.nest.flatten(batch)[0])[0]):
                self._evaluate(batch)

    def local_logs(self) -> dict[str, float]:
        """Return loss and metrics so far; they are on the parameter servers and the same for all."""
        return {name: float(value) for name, value in self._keras.epoch_results(self._model).items()}

    def gather(self, values: Sequence[float]) -> list[list[float]]:
        """Return the values: the coordinator decides alone."""
        return [list(values)]

    def exchange(self) -> Exchange | None:
        """Return None: workers fetch variables and send gradients while they compute."""
        return None

    def _worker_data(self) -> Any:
        """Return what a worker reads; this is traced here and runs there, so all of it must be made inside."""
        worker = tf.distribute.coordinator.experimental_get_current_worker_index()
        return self._data.training().repeat().shard(self._data.workers, tf.cast(worker, tf.int64))

    def _cut(self, steps: int) -> list[list[int]]:
        """Return the steps of each call, by round; the coordinator waits at the end of a round."""
        workers = self._data.workers
        if not self._asynchronous:
            full, rest = divmod(steps, workers)
            return [[1] * workers] * full + ([[1] * rest] if rest else [])
        size = max(1, -(-steps // (workers * _CALLS_PER_WORKER)))
        full, rest = divmod(steps, size)
        return [[size] * full + ([rest] if rest else [])]

    @staticmethod
    def _count(steps: int) -> Any:
        return tf.constant(steps, tf.int64)
