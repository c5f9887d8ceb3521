"""Which calls are fast enough for an event loop to make them itself."""

from __future__ import annotations

from typing import NamedTuple

FAST_SECONDS = 0.001
"""What takes no longer is done on the event loop: about what handing it to a thread can cost there."""
_REMEMBERED = 0.5
"""Part of a slow call's time that the next call remembers: what stumbled once is soon on the loop again."""


class Kind(NamedTuple):
    """Calls that take about the same time: those of one API for one signature of one version.

    Attributes:
        model: Name of the model.
        version: Its version.
        signature: The signature's name.
        api: ``Predict``, ``Classify`` or ``Regress``.
    """

    model: str
    version: int
    signature: str
    api: str


class Pace:
    """How long calls take: the slowest of the last ones, slowly forgotten. For one thread, or many."""

    def __init__(self) -> None:
        self._seconds: dict[Kind, float] = {}

    def is_fast(self, kind: Kind) -> bool:
        """Tell whether such a call may be expected to be fast.

        The first one may not: it may compile, allocate and take seconds.
        """
        return self._seconds.get(kind, FAST_SECONDS) < FAST_SECONDS

    def record(self, kind: Kind, seconds: float) -> None:
        """Say how long a call took."""
        known = self._seconds.get(kind)
        self._seconds[kind] = seconds if known is None else max(seconds, known * _REMEMBERED)
