"""How a running step tells the person who waits for it what it does.

A step calls :func:`status` and :func:`note` without knowing who listens: the terminal of ``penstock run``, or, where
nobody set up a listener (a test, a notebook, a remote runner), the log.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_logger = logging.getLogger(__name__)


class Sink(Protocol):
    """Receives what a step reports. Both methods return at once and may be called from any thread."""

    def status(self, text: str) -> None:
        """What the step is doing now; replaces the status before it."""

    def note(self, text: str) -> None:
        """A line worth keeping."""


class LogSink:
    """Logs notes and drops statuses: a log of transient lines is noise."""

    def status(self, text: str) -> None:
        """Drop it."""

    def note(self, text: str) -> None:
        """Log the line at INFO."""
        _logger.info("%s", text)


@dataclass(frozen=True)
class _Target:
    sink: Sink
    log: Path | None


_targets = [_Target(LogSink(), None)]


def status(text: str) -> None:
    """Say what the step is doing now.

    Args:
        text: One line; shown until the next status or the step's end. It may come from a hot loop: a listener shows a
            few a second and always the last one.
    """
    _targets[-1].sink.status(text)


def note(text: str) -> None:
    """Say what is worth keeping on the terminal and in the log.

    Args:
        text: A line, or a few; every note is shown, in order.
    """
    _targets[-1].sink.note(text)


def log_file() -> Path | None:
    """Return the running step's log file, to put logs of subprocesses beside it; None outside a run."""
    return _targets[-1].log


@contextmanager
def reporting_to(sink: Sink, log: Path | None = None) -> Iterator[None]:
    """Send what is reported inside the block, by any thread of this process, to ``sink``.

    Args:
        sink: Who receives statuses and notes.
        log: What :func:`log_file` answers.
    """
    _targets.append(_Target(sink, log))
    try:
        yield
    finally:
        _targets.pop()
