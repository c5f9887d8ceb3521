"""What tasks show on the terminal: a pipe from each task to the launcher, a line of text for each message."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from threading import Lock, Thread
from time import sleep
from typing import Literal, Protocol

from penstock import reporting
from penstock.components.trainer.cluster.topology import Task

REPORT_VARIABLE = "PENSTOCK_REPORT_FD"
Kind = Literal["status", "note"]
# A status may come from a hot loop; nobody reads more than a few a second.
_PERIOD_SECONDS = 0.2
_CHUNK = 64 * 1024


class Report(Protocol):
    """Receives what a task reports, as :mod:`penstock.reporting` defines it."""

    def __call__(self, task: Task, kind: Kind, text: str) -> None:
        """Take one line."""


def relay(task: Task, kind: Kind, text: str) -> None:
    """Report what a task reports as this process's own: all notes, and the status of the first task of a type."""
    if kind == "note":
        reporting.note(f"{task}: {text}")
    elif task.index == 0:
        reporting.status(f"{task}: {text}")


def reporter_from_environment(environ: MutableMapping[str, str] = os.environ) -> reporting.Sink:
    """Return what a task gives to :func:`penstock.reporting.reporting_to`; call it once a process.

    In a process that Penstock's launcher did not start, reports go to the log.
    """
    number = environ.pop(REPORT_VARIABLE, None)
    return reporting.LogSink() if number is None else _PipeSink(int(number))


class _PipeSink:
    """Sends reports to the launcher, from any thread. Notes go to the log too, so that it is complete."""

    def __init__(self, descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        self._descriptor = descriptor
        self._lock = Lock()
        self._log = reporting.LogSink()
        self._status: str | None = None
        Thread(target=self._send_statuses, name="statuses", daemon=True).start()

    def status(self, text: str) -> None:
        self._status = text

    def note(self, text: str) -> None:
        self._log.note(text)
        for line in text.splitlines():
            self._send("note", line)

    def _send_statuses(self) -> None:
        sent = None
        while True:
            sleep(_PERIOD_SECONDS)
            status = self._status
            if status is not None and status != sent:
                self._send("status", " ".join(status.splitlines()))
                sent = status

    def _send(self, kind: Kind, line: str) -> None:
        rest = f"{kind} {line}\n".encode(errors="replace")
        # Without the launcher nobody reads, and this process is about to be ended.
        with self._lock, suppress(BrokenPipeError):
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]


class ReportReader:
    """The launcher's end of a task's pipe.

    Args:
        descriptor: The pipe's reading end, which stays the caller's to close.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._descriptor

    def messages(self) -> Iterator[tuple[Kind, str]]:
        """Yield what is there, without waiting for more. Sets ``ended`` when the task has closed its end."""
        while not self.ended:
            try:
                chunk = os.read(self._descriptor, _CHUNK)
            except BlockingIOError:
                return
            self.ended = not chunk
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                kind, _, text = line.decode(errors="replace").partition(" ")
                yield "status" if kind == "status" else "note", text
