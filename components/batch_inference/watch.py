"""Ends a run whose worker process is gone: Beam's direct runner waits for such a one for ever.

Workers leave their process id beside how far they are. One that is gone for a while has not been started again either,
as other runners do, and no error of its own can tell of it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from penstock.components.batch_inference.shards import Shard
from penstock.components.batch_inference.work import Work
from penstock.errors import EnvironmentProblem
from penstock.processes import started

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How a run is watched.

    Attributes:
        every: Seconds between two looks.
        longest: Seconds that a worker may be gone: a runner that starts another one has done so by then.
    """

    every: float = 2.0
    longest: float = 20.0


def whoami() -> dict[str, str | int | None]:
    """Return what a worker leaves of itself."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "started": started(os.getpid())}


@contextmanager
def watched(work: Work, shards: Sequence[Shard], patience: Patience | None = None) -> Iterator[None]:
    """Watch the workers of this machine while the block runs; for the main thread, others are not watched.

    Raises:
        EnvironmentProblem: A worker is gone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ended = _Ended()
    patience = patience or Patience(every=max(Patience.every, work.store.pause))
    thread = threading.Thread(target=_look, args=(work, shards, patience, ended), daemon=True)
    before = signal.signal(signal.SIGUSR1, _raise)
    complete = False
    thread.start()
    try:
        try:
            yield
            complete = True
        finally:
            ended.set()  # The signal may come until this is done, and never afterwards.
    except _GoneError as gone:
        if not complete:
            raise EnvironmentProblem(
                "a worker process has ended in the middle",
                where=str(gone),
                hint="was it killed, or out of memory? lower `max_rows`, and run again: what is finished is kept",
            ) from gone
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)


class _Ended:
    """Whether the block has ended. Who finds that it has not, and acts on it, holds ``deciding`` meanwhile."""

    def __init__(self) -> None:
        self.deciding = threading.Lock()
        self._event = threading.Event()
        self.wait, self.is_set = self._event.wait, self._event.is_set

    def set(self) -> None:
        """Note that it has; waits for who decides."""
        with self.deciding:
            self._event.set()


class _GoneError(BaseException):
    """A worker is gone; the message is the file that it was at. No ``except Exception`` of a runner may take it."""


_gone: list[str] = []


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise _GoneError(_gone.pop())


def _look(work: Work, shards: Sequence[Shard], patience: Patience, ended: _Ended) -> None:
    missed: dict[int, float] = {}
    while not ended.wait(patience.every):
        try:
            found = _gone_ones(work)
        except EnvironmentProblem as error:
            _LOG.info("the workers are not seen now: %s", error)
            continue
        gone = {shard.index: shard for shard in shards if shard.index in found}
        now = time.monotonic()
        missed = {index: missed.get(index, now) for index in gone}
        for index, since in missed.items():
            if now - since >= patience.longest:
                with ended.deciding:
                    if not ended.is_set():
                        _gone.append(gone[index].file.path)
                        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
                return


def _gone_ones(work: Work) -> frozenset[int]:
    return frozenset(index for index in work.begun() - work.finished() if _is_gone(work, index))


def _is_gone(work: Work, index: int) -> bool:
    progress = work.progress(index)
    if progress is None or progress["host"] != socket.gethostname():
        return False
    now = started(progress["pid"])
    # An id is used again. What an earlier version of Penstock left does not say when its process started.
    return now is None or now != progress.get("started", now)
