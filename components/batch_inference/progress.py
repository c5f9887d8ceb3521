"""How far a run is: rows, rows a second, errors, and what remains; from what the workers leave in the work folder."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from penstock.components.batch_inference.shards import Shard
from penstock.components.batch_inference.work import Work
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


def progress_of(work: Work, shards: Sequence[Shard]) -> Progress:
    """Return how far a run is, with what an earlier attempt has finished."""
    rows = errors = done = 0
    for shard in shards:
        finished = work.report(shard.index)
        known = finished or work.progress(shard.index) or {"rows": 0, "errors": 0, "bytes": 0}
        rows += known["rows"]
        errors += known["errors"]
        # Compressed files: how much of them a number of rows stands for is not known before their end.
        done += shard.size if finished else 0 if shard.file.gzip else min(known["bytes"], shard.size)
    return Progress(rows, errors, done / max(1, sum(shard.size for shard in shards)))


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
    """Say about once a second how far the run is, until the block ends."""
    ended = threading.Event()
    before, began = progress_of(work, shards).rows, time.monotonic()

    def report() -> None:
        while not ended.wait(_EVERY_SECONDS):
            status(told(progress_of(work, shards), before, time.monotonic() - began))

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
