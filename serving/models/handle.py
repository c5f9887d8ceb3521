"""Counts the requests that use a loaded version, so that it is unloaded only when none does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

from penstock.serving.models.servable import Servable


class Handle:
    """A loaded version in use.

    Args:
        servable: The version.
    """

    def __init__(self, servable: Servable) -> None:
        self.servable = servable
        self._uses = 0
        self._retired = False
        self._idle = threading.Condition(threading.Lock())

    def acquire(self) -> bool:
        """Begin a use; False once the version is to be unloaded."""
        with self._idle:
            if self._retired:
                return False
            self._uses += 1
            return True

    def release(self) -> None:
        """End a use."""
        with self._idle:
            self._uses -= 1
            if self._retired and not self._uses:
                self._idle.notify_all()

    def retire(self, timeout: float | None = None) -> bool:
        """Admit no further use and wait for those that run.

        Args:
            timeout: Seconds to wait; None waits as long as it takes.

        Returns:
            Whether all have ended.
        """
        with self._idle:
            self._retired = True
            return self._idle.wait_for(lambda: not self._uses, timeout)


class Use:
    """A use of a version: counted from the beginning of a block to its end.

    Args:
        acquire: Begins the use of what was asked for: name, version and label.
        asked: These three.
    """

    __slots__ = ("_acquire", "_asked", "_handle")

    def __init__(
        self, acquire: Callable[[str, int | None, str | None], Handle], *asked: *tuple[str, int | None, str | None]
    ) -> None:
        self._acquire = acquire
        self._asked = asked
        self._handle: Handle | None = None

    def __enter__(self) -> Servable:
        handle = self._handle = self._acquire(*self._asked)
        return handle.servable

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handle:
            self._handle.release()
