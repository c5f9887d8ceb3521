"""A look that is taken again and again, and that no failure ends."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from penstock.errors import PenstockError
from penstock.serving.errors import ServingError

_LOG = logging.getLogger(__name__)


class Watch:
    """Looks at something, in a thread of its own, until its owner has enough.

    What goes wrong is logged, once and not at every look, and the next look is taken all the same.

    Args:
        name: Name of the thread.
        failing: What a failed look means; its line in the log begins with it.
        look: Takes a look.
        seconds: Between two looks.
        ended: Set when no more looks are to be taken.
    """

    def __init__(
        self, name: str, failing: str, look: Callable[[], object], seconds: float, ended: threading.Event
    ) -> None:
        self._failing = failing
        self._look = look
        self._seconds = seconds
        self._ended = ended
        self._complaint = ""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Look from now on; safe to call twice."""
        if not self._thread.ident:
            self._thread.start()

    def look(self) -> None:
        """Take a look now, in the caller's thread; what goes wrong is only logged here too."""
        try:
            self._look()
        except (PenstockError, ServingError) as error:
            self._complain(error.message if isinstance(error, ServingError) else str(error))
        except Exception as error:  # noqa: BLE001  Without this thread nobody would look again until a restart.
            self._complain(f"{type(error).__name__}: {error}", error)
        else:
            self._complaint = ""

    def join(self, timeout: float) -> bool:
        """Wait for the look that is being taken.

        Args:
            timeout: Seconds to wait; a file system may hang for longer.

        Returns:
            Whether the thread has ended, or never began.
        """
        if self._thread.ident:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.wait(self._seconds):
            self.look()

    def _complain(self, complaint: str, error: Exception | None = None) -> None:
        if complaint != self._complaint:
            _LOG.error("%s: %s", self._failing, complaint, exc_info=error)
        self._complaint = complaint
