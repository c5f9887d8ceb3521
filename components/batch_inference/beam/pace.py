"""Time between two looks. The in-memory runner keeps none: it asks a source again at once, whatever it was told."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


class Pace:
    """Lets calls through no more often than every few seconds. Travels between processes, where it starts anew.

    Args:
        seconds: Time between the ends of two waits.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = 0.0

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_next": 0.0}

    def wait(self, until: Callable[[], bool] = lambda: False, step: float = 0.2) -> None:
        """Wait until it is time.

        Args:
            until: Ends the wait at once when it is true.
            step: Seconds between two questions to it.
        """
        while (left := self._next - time.monotonic()) > 0 and not until():
            time.sleep(min(left, step))
        self._next = time.monotonic() + self._seconds
