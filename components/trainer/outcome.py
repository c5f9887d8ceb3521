"""How long a training is, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from penstock.components.trainer.execution import Execution

_WARM_UP_CALLS = 2
"""Calls that are left out of the shares: the first traces the step, the second fills the pipeline."""


@dataclass(frozen=True)
class Length:
    """How long to train.

    Args:
        epochs: Passes, a count; one if the length was given in steps.
        steps_per_epoch: Steps of a pass, a count.
        batch: Rows of a step over all replicas.
    """

    epochs: int
    steps_per_epoch: int
    batch: int

    @property
    def steps(self) -> int:
        """All steps, a count."""
        return self.epochs * self.steps_per_epoch


@dataclass
class Totals:
    """Sums over the calls into TensorFlow, without the first ones."""

    steps: int = 0
    seconds: float = 0.0
    waiting: float = 0.0
    calls: int = 0

    def add(self, execution: Execution, waiting: float) -> None:
        """Count a call.

        Args:
            execution: What it did.
            waiting: Seconds of it that the worker which waited longest spent waiting for its batches.
        """
        self.calls += 1
        if self.calls > _WARM_UP_CALLS:
            self.steps += execution.steps
            self.seconds += execution.seconds
            self.waiting += waiting


@dataclass(frozen=True)
class FitOutcome:
    """What came of training.

    Args:
        history: One value an epoch for the loss and each metric, ``val_`` before those of the evaluation split.
        steps: Training steps, a count of global batches.
        wall_seconds: Time of training, validation included, over all attempts.
        trained_seconds: Time of the steps of this attempt alone.
        trained_steps: Steps of this attempt, a count.
        totals: Sums for the shares of a step's time.
        steps_per_execution: Steps of one call into TensorFlow at the end, a count.
        resumed_from: Step of the checkpoint that the training went on from, or None.
        best_epoch: Epoch whose weights were restored, from 1, or None.
        stopped_early: Training ended before its full length.
    """

    history: dict[str, list[float]]
    steps: int
    wall_seconds: float
    trained_seconds: float
    trained_steps: int
    totals: Totals
    steps_per_execution: int
    resumed_from: int | None = None
    best_epoch: int | None = None
    stopped_early: bool = False


def final_metrics(history: Mapping[str, Sequence[float]], best_epoch: int | None) -> dict[str, float]:
    """Return the metrics of the weights that training ended with."""
    return {name: values[best_epoch - 1 if best_epoch else -1] for name, values in history.items()}
