"""How many versions are loaded at the same time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from penstock.serving.models.stream import Managed


class LoadSlots:
    """Lets so many versions load at the same time, in the order in which they were queued.

    A version that is no longer wanted counts no more, although its load may still run: one that hangs must not keep
    the version of a rollback waiting.

    Args:
        count: How many.
        changed: Held while a version is cancelled, and notified of it.
    """

    def __init__(self, count: int, changed: threading.Condition) -> None:
        self._count = count
        self._changed = changed
        self._waiting: deque[Managed] = deque()
        self._loading: list[Managed] = []

    def queue(self, managed: Managed) -> None:
        """Give a version its place in the order, before the thread that loads it runs."""
        with self._changed:
            self._waiting.append(managed)

    @contextmanager
    def slot(self, managed: Managed) -> Iterator[bool]:
        """Wait until a version that was queued may load.

        Yields:
            Whether it may; False once it is no longer wanted.
        """
        with self._changed:
            self._changed.wait_for(lambda: managed.cancelled.is_set() or self._is_next(managed))
            self._waiting.remove(managed)
            admitted = not managed.cancelled.is_set()
            if admitted:
                self._loading.append(managed)
            self._changed.notify_all()
        try:
            yield admitted
        finally:
            with self._changed:
                if admitted:
                    self._loading.remove(managed)
                self._changed.notify_all()

    def _is_next(self, managed: Managed) -> bool:
        taken = sum(not each.cancelled.is_set() for each in self._loading)
        return self._waiting[0] is managed and taken < self._count
