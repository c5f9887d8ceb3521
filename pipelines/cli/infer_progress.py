"""How the terminal shows what one command does: a line that is written over, or now and then a new one in a log."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

_EVERY_SECONDS = 10.0
"""Seconds between two statuses where lines cannot be written over."""


class LineSink:
    """Shows what is reported on standard error. A context manager: at its end the line is gone."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._heard = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._terminal:
            self._print("\r\x1b[K")

    def status(self, text: str) -> None:
        """Show a transient line."""
        if self._terminal:
            self._print(f"\r\x1b[K{text}")
        elif time.monotonic() - self._heard >= _EVERY_SECONDS:
            self.note(text)

    def note(self, text: str) -> None:
        """Print a line that stays."""
        self._heard = time.monotonic()
        self._print(f"\r\x1b[K{text}\n" if self._terminal else f"{text}\n")

    def _print(self, text: str) -> None:
        with self._lock:
            sys.stderr.write(text)
            sys.stderr.flush()
