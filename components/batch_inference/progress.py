"""How far a run is: rows, rows a second, errors, and what remains; from what the workers leave in the work folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penstock.components.batch_inference.shards import Shard
from penstock.components.batch_inference.work import Work
from penstock.errors import EnvironmentProblem
from penstock.reporting import status

_EVERY_SECONDS = 1.0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        rows: Rows done, a count.
        errors: Rows of them without a prediction.
        share: Share of the input's bytes that is done, from 0 to 1.
    """

    rows: int
    errors: int
    share: float


class Observer:
    """Looks how far a run is. What has been read of finished shards is not read again.

    Args:
        work: Where they leave it.
        shards: All shards of the run.
    """

    def __init__(self, work: Work, shards: Sequence[Shard]) -> None:
        self._work = work
        self._shards = shards
        self._reports: dict[int, Mapping[str, Any]] = {}

    def look(self) -> Progress:
        """Return how far the run is, with what an earlier attempt has finished."""
        for index in self._work.finished() - self._reports.keys():
            self._reports[index] = self._work.report(index) or {}
        begun = self._work.begun()
        rows = errors = done = 0
        for shard in self._shards:
            finished = self._reports.get(shard.index)
            known = finished or (self._work.progress(shard.index) if shard.index in begun else None)
            if known:
                rows += known["rows"]
                errors += known["errors"]
                # Compressed files: how much of them a number of rows stands for is not known before their end.
                done += shard.size if finished else 0 if shard.file.gzip else min(known["bytes"], shard.size)
        return Progress(rows, errors, done / max(1, sum(shard.size for shard in self._shards)))


def told(progress: Progress, rows_before: int, seconds: float) -> str:
    """Return the line that the person who waits sees.

    Args:
        progress: How far it is.
        rows_before: Rows that were done when it began.
        seconds: Since it began.
    """
    rate = (progress.rows - rows_before) / max(seconds, 1e-3)
    parts = [f"{progress.rows:,} rows", f"{rate:,.0f} rows/s", f"{progress.errors:,} errors"]
    if 0 < progress.share < 1:
        parts.append(f"{progress.share:.0%}, {_clock(seconds * (1 - progress.share) / progress.share)} left")
    return "  ".join(parts)


@contextmanager
def reporting_progress(work: Work, shards: Sequence[Shard]) -> Iterator[None]:
    """Say how far the run is, about once a second where the store bears that, until the block ends."""
    ended, observer = threading.Event(), Observer(work, shards)
    before, began = observer.look().rows, time.monotonic()
    pause = max(_EVERY_SECONDS, work.store.pause)

    def report() -> None:
        while not ended.wait(pause):
            try:
                status(told(observer.look(), before, time.monotonic() - began))
            except EnvironmentProblem as error:
                status(f"how far the workers are cannot be read now: {error.what}")

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
