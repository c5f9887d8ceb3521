"""Carries what a step reports from its worker process to the command."""

from __future__ import annotations

import threading
from collections import deque
from multiprocessing.connection import Connection
from typing import Self

from penstock.reporting import LogSink

PERIOD_SECONDS = 0.2
"""How often a status is sent: often enough to look live, seldom enough to cost nothing."""


class Courier:
    """The sink of a worker: sends from a thread of its own, so that a step never waits for a terminal.

    Of the statuses of a period it sends the last one, so the one that stands for minutes is never the one left out.
    Notes are all sent, in order, and logged at once, so a step that is killed has them in its log.

    Messages are pairs of ``status`` or ``note`` and the text. They all lie before whatever is sent on ``pipe`` after
    the block.

    Args:
        pipe: Where to; nobody else may send on it inside the block.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._log = LogSink()
        self._status: str | None = None
        self._sent: str | None = None
        self._notes: deque[str] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="courier", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def status(self, text: str) -> None:
        """Let ``text`` be the status that is sent next."""
        self._status = text

    def note(self, text: str) -> None:
        """Log ``text`` and send it soon."""
        self._log.note(text)
        self._notes.append(text)

    def _carry(self) -> None:
        try:
            while not self._ending.wait(PERIOD_SECONDS):
                self._send()
            self._send()
        except OSError:
            return  # The command is gone, and with it who would read; the notes are in the log.

    def _send(self) -> None:
        while self._notes:
            self._pipe.send(("note", self._notes.popleft()))
        # Compared, not cleared: clearing could lose a status that is set between the look and the clearing.
        status = self._status
        if status is not None and status != self._sent:
            self._pipe.send(("status", status))
            self._sent = status
