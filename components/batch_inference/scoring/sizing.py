"""How many rows a batch gets: as many as make the model faster, within the limits."""

from __future__ import annotations

import threading

_FIRST = 256
_GAIN = 1.05
"""A batch twice as large must score so many times as many rows a second, or the smaller one is kept."""
_TRIALS = 3
"""Batches of a size that are timed; the fastest counts, since other work on the machine only ever slows them down."""


class BatchSizer:
    """Doubles the size of batches while that pays. May be shared by threads.

    Args:
        most: Rows of a batch, a count, at most.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._size = min(_FIRST, most)
        self._smaller = self._size
        self._smaller_rate = 0.0
        self._rates: list[float] = []
        self._settled = self._size == most
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Rows of the next batch, a count."""
        return self._size

    def timed(self, rows: int, seconds: float) -> None:
        """Take into account how long a batch took.

        Args:
            rows: Its rows, a count. Batches that are not of the present size are no measure.
            seconds: How long the model took.
        """
        with self._lock:
            if self._settled or rows != self._size:
                return
            self._rates.append(rows / max(seconds, 1e-9))
            if len(self._rates) == _TRIALS:
                self._judge(max(self._rates))

    def too_large(self) -> None:
        """Halve the size for good: a batch has failed for want of memory."""
        with self._lock:
            self._size = max(1, self._size // 2)
            self._settled = True

    def _judge(self, rate: float) -> None:
        self._rates = []
        if rate < self._smaller_rate * _GAIN:
            self._size = self._smaller
            self._settled = True
        elif self._size == self._most:
            self._settled = True
        else:
            self._smaller, self._smaller_rate = self._size, rate
            self._size = min(self._size * 2, self._most)
