"""Chooses how many steps one call into TensorFlow takes."""

from __future__ import annotations

import logging
import math

from penstock.components.trainer.options import Auto
from penstock.components.trainer.progress_text import duration

_log = logging.getLogger(__name__)
_TARGET_SECONDS = 0.1
"""Long enough that a call's own cost (under a millisecond) vanishes, short enough for progress, Ctrl-C and NaN."""
_LARGEST_CHANGE = 10
_CALLS = 2
"""Calls that a number of steps is judged by; the fastest counts, as the other may have traced or waited for a file."""
_CALLS_TO_RECONSIDER = 8
_TOLERANCE = 3.0
"""A settled choice stays while calls take between a third and three times what they should."""


class Pace:
    """Decides the steps of each call, and learns from the time they took.

    With ``auto`` the first calls take one step, later ones up to ten times more each time, until a call takes about
    0.1 s. The number is one of 1, 2, 5, 10, 20, 50 …, so that noise between two runs rarely changes it. It then stays,
    unless calls take three times longer or shorter for good, e.g. when a cache fills in the first epoch; each time
    that happens, twice the evidence is asked for before it may happen again.

    Under a strategy of several workers every worker must come to the same number, as TensorFlow pairs their collective
    operations by the iteration of the loop: give :meth:`measured` a time that they agreed upon.

    Args:
        option: ``steps_per_execution`` of the configuration.
    """

    def __init__(self, option: int | Auto) -> None:
        self._auto = option == "auto"
        self._steps = 1 if option == "auto" else option
        self._longest = 1
        self._traced = False
        self._settled = False
        self._alone = math.inf
        self._calls: list[tuple[int, float]] = []
        self._tried = {self._steps}
        self._to_reconsider = _CALLS_TO_RECONSIDER

    @property
    def chosen(self) -> int:
        """Steps of a full call: the settled choice, or until then the most that a call has taken."""
        return self._steps if self._settled or not self._auto else min(self._steps, self._longest)

    def next(self, allowed: int) -> int:
        """Return the steps of the next call.

        Args:
            allowed: Steps until something else must happen, a count from 1: the end of the epoch, a checkpoint.
        """
        return max(1, min(self._steps, allowed))

    def measured(self, steps: int, seconds: float) -> None:
        """Learn from a call.

        Args:
            steps: Steps that the call took, a count.
            seconds: Wall time of the call.
        """
        self._longest = max(self._longest, steps)
        if not self._auto:
            return
        if not self._traced:
            self._traced = True
            return
        if steps == 1:
            self._alone = min(self._alone, seconds)
        self._calls.append((steps, max(seconds, 1e-9)))
        if len(self._calls) == (self._to_reconsider if self._settled else _CALLS):
            self._judge()

    def _judge(self) -> None:
        calls, self._calls = self._calls, []
        longest = max(steps for steps, _ in calls)
        per_step = min(seconds / steps for steps, seconds in calls)
        wanted = self._wanted(per_step, longest)
        if self._settled:
            self._reconsider(wanted, longest)
        elif wanted not in self._tried:
            self._steps = wanted
            self._tried.add(wanted)
        elif longest == self._steps:
            self._settle(per_step)

    def _wanted(self, per_step: float, longest: int) -> int:
        """Return the number of steps that would take the target time, as far as it is safe to believe."""
        highest = longest * _LARGEST_CHANGE
        lowest = max(1, math.ceil(self._steps / _LARGEST_CHANGE))
        return _rounded(max(lowest, min(highest, _TARGET_SECONDS / per_step)))

    def _reconsider(self, wanted: int, longest: int) -> None:
        """Search again if the choice has become wrong; calls cut short by a border say nothing about that."""
        if longest < self._steps or 1 / _TOLERANCE <= wanted / self._steps <= _TOLERANCE:
            return
        self._settled = False
        self._to_reconsider *= 2
        self._steps = wanted
        self._tried = {wanted}
        self._alone = math.inf

    def _settle(self, per_step: float) -> None:
        self._settled = True
        together = f" in a call of {self._steps}" if self._steps > 1 else ""
        alone = f", {duration(self._alone)} alone" if together and math.isfinite(self._alone) else ""
        _log.info(
            "steps_per_execution: auto chose %d: 1 step takes %s%s%s", self._steps, duration(per_step), together, alone
        )


def _rounded(value: float) -> int:
    """Return the nearest of 1, 2, 5, 10, 20, 50 … by ratio."""
    power: int = 10 ** math.floor(math.log10(value))
    return min((digit * power for digit in (1, 2, 5, 10)), key=lambda near: abs(math.log(value / near)))
