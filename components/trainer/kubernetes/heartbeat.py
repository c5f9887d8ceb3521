"""How pods know that somebody waits for them: a count in the job's folder that goes up as long as the step runs.

Kubernetes removes a job with the pod that owns it. A step outside the cluster has no pod, and one that was ended by
force may keep its own for days; without this their jobs would train on. No clock is compared with another's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

HEARTBEAT = "heartbeat"
_LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 600.0
"""How long the count may stand still: longer than what a network file system needs to come back."""


@contextmanager
def beating(folder: Path, seconds: float) -> Iterator[None]:
    """Count up inside the block."""
    over = threading.Event()
    _write(folder, 0)

    def beat() -> None:
        count = 0
        while not over.wait(seconds):
            count += 1
            try:
                _write(folder, count)
            except OSError:
                continue  # The file system may come back; pods are patient.

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def is_beating(folder: Path, seconds: float) -> bool:
    """Whether somebody counts; looks for a little longer than two beats take."""
    before = read(folder)
    if before is None:
        return False
    deadline = time.monotonic() + 2.5 * seconds
    while time.monotonic() < deadline:
        time.sleep(min(0.5, seconds / 4))
        if read(folder) != before:
            return True
    return False


def read(folder: Path) -> str | None:
    """Return the count, None where there is none."""
    try:
        return (folder / HEARTBEAT).read_text(encoding="utf-8")
    except OSError:
        return None


def watch(
    folder: Path, alone: Callable[[], None], patience: float = PATIENCE_SECONDS, look_every: float = _LOOK_SECONDS
) -> threading.Thread:
    """Call ``alone``, from a thread, when the count has stood still for ``patience`` seconds of this process."""

    def look() -> None:
        last, since = read(folder), time.monotonic()
        while time.monotonic() - since < patience:
            time.sleep(look_every)
            now = read(folder)
            if now != last:
                last, since = now, time.monotonic()
        alone()

    thread = threading.Thread(target=look, name="heartbeat", daemon=True)
    thread.start()
    return thread


def _write(folder: Path, count: int) -> None:
    # Not renamed into place: a reader that finds it half-written finds another text than before, which is all it needs.
    (folder / HEARTBEAT).write_text(str(count), encoding="utf-8")
