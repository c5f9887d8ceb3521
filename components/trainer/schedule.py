"""Which rows belong to which step of a training. Imports no TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penstock.components.trainer.sharding import BatchPlan


@dataclass(frozen=True)
class Passes:
    """The passes over the training data.

    Args:
        seed: Seed of the order of rows.
        epochs: Passes, a count; None goes on without end.
        start_epoch: Epoch to begin with, from 0.
        start_step: Step of that epoch to begin with, from 0.
    """

    seed: int
    epochs: int | None
    start_epoch: int = 0
    start_step: int = 0


@dataclass(frozen=True)
class Schedule:
    """The steps of a training.

    Args:
        plan: Who sees how many rows.
        split_rows: Rows of the split over all workers, a count.
        passes: Which epochs.
    """

    plan: BatchPlan
    split_rows: int
    passes: Passes

    @property
    def start_step(self) -> int:
        """Step to begin with, from 0, counted over all epochs."""
        return self.passes.start_epoch * self.plan.steps_per_epoch(self.split_rows) + self.passes.start_step

    @property
    def end_step(self) -> int | None:
        """Step before which the training ends, counted over all epochs; None for one without end."""
        epochs = self.passes.epochs
        return None if epochs is None else epochs * self.plan.steps_per_epoch(self.split_rows)

    @property
    def rows_per_epoch(self) -> int:
        """Rows that an epoch takes of those which this process reads, a count."""
        return self.rows_before(self.plan.steps_per_epoch(self.split_rows))

    def rows_before(self, step: int) -> int:
        """Return how many of the rows which this process reads are taken before a step.

        Args:
            step: The step, from 0, counted over all epochs.
        """
        shape, batch = self.plan.pass_shape(self.split_rows), self.plan.batch_size
        replicas = self.plan.local_replicas if self.plan.sharding == "file" else self.plan.replicas
        epochs, steps = divmod(step, shape.steps)
        return replicas * (epochs * (shape.full_steps * batch + shape.last_batch) + steps * batch)

    def batch_sizes(self, batches: int, replicas: int) -> NDArray[np.int64]:
        """Return the rows of all batches of an epoch, from the start step round to it.

        Args:
            batches: Batches that a step is cut into, a count.
            replicas: Replicas that share such a batch, a count.
        """
        shape = self.plan.pass_shape(self.split_rows)
        steps = np.full(shape.steps, self.plan.batch_size * replicas, np.int64)
        steps[shape.full_steps :] = shape.last_batch * replicas
        return np.repeat(np.roll(steps, -(self.start_step % shape.steps)), batches)
