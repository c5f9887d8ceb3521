"""Ends a training that no longer gets better."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from penstock.closest import did_you_mean
from penstock.components.trainer.options import EarlyStopping
from penstock.errors import UserCodeError

_LOWER_IS_BETTER = frozenset(
    {
        "cosh",
        "crossentropy",
        "divergence",
        "error",
        "errors",
        "false",
        "hinge",
        "logcosh",
        "loss",
        "mae",
        "mape",
        "mse",
        "msle",
        "perplexity",
        "poisson",
        "rmse",
    }
)
"""Words of Keras's names of losses and errors; ``false`` as in ``false_positives``."""


class EarlyStop:
    """Watches one metric from epoch to epoch.

    A value that is not finite is never an improvement.

    Args:
        options: What to watch and how patiently.
    """

    def __init__(self, options: EarlyStopping) -> None:
        self._options = options
        self._sign = 1.0 if _direction(options) == "max" else -1.0
        self._best: float | None = None
        self._best_epoch: int | None = None
        self._without = 0
        self._improved = False

    @property
    def best_epoch(self) -> int | None:
        """The best epoch so far, from 1; None before one had a finite value."""
        return self._best_epoch

    @property
    def improved(self) -> bool:
        """Whether the epoch last looked at is the best so far."""
        return self._improved

    @property
    def stopped(self) -> bool:
        """Whether as many epochs went by without an improvement as end the training, at least one."""
        return self._without >= max(1, self._options.patience)

    def check(self, metrics: Iterable[str]) -> None:
        """Make sure that the metric to watch is there.

        Args:
            metrics: The names that :meth:`update` will receive.

        Raises:
            UserCodeError: It is not.
        """
        names = list(metrics)
        monitor = self._options.monitor
        if monitor in names:
            return
        raise UserCodeError(
            f"early_stopping watches {monitor!r}, and the model has no such metric",
            received=f"early_stopping.monitor {monitor!r}",
            expected=f"one of {', '.join(names)}" if names else "a metric, and there is none",
            hint=did_you_mean(monitor, names) or "add it to the metrics that model_fn compiles the model with",
        )

    def update(self, epoch: int, logs: Mapping[str, float]) -> bool:
        """Look at an epoch and return whether to stop.

        Args:
            epoch: The epoch that ended, from 1.
            logs: Loss and metrics of the epoch; ``val_`` before those of the evaluation split.

        Raises:
            UserCodeError: The metric to watch is not among them.
        """
        self.check(logs)
        value = float(logs[self._options.monitor])
        self._improved = self._is_better(value)
        if self._improved:
            self._best, self._best_epoch, self._without = value, epoch, 0
        else:
            self._without += 1
        return self.stopped

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON-serializable data; :meth:`load` is its inverse."""
        return {"best": self._best, "best_epoch": self._best_epoch, "epochs_without": self._without}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what :meth:`to_dict` returned."""
        self._best, self._best_epoch, self._without = state["best"], state["best_epoch"], state["epochs_without"]
        self._improved = False

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        return self._best is None or self._sign * (value - self._best) > self._options.min_delta


def _direction(options: EarlyStopping) -> Literal["min", "max"]:
    if options.mode != "auto":
        return options.mode
    words = re.split(r"[^a-z]+", options.monitor.lower())
    return "min" if _LOWER_IS_BETTER.intersection(words) else "max"
