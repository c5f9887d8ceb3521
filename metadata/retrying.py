"""A metadata store for many writers: they take turns, and what fails for a moment is tried again. Needs ml_metadata."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import tenacity
from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore

from penstock.errors import EnvironmentProblem
from penstock.metadata.looking import Trouble, look_at
from penstock.metadata.refusals import NO_RIGHTS, UNREACHABLE, other_version, refused
from penstock.metadata.server import Server

PATIENCE_SECONDS = 30.0
"""How long a write that others are in the way of, or a server that is away, is tried again."""
READING_SECONDS = 5.0
"""The same for a question, whose asker waits."""
_LOST = (
    "gone away",
    "Lost connection",
    "mysql_real_connect failed",
    "server closed the connection",
    "no connection to the server",
    "terminating connection",
)
_BUSY = "Concurrent writes"
_TURNS = ".turns"


class RetryingStore(MetadataStore):  # type: ignore[misc]  # ml_metadata has no types.
    """ML Metadata's store, opened for reading and writing.

    SQLite lets one process write at a time, and ML Metadata asks again only after 100 to 300 ms, ten times. So writers
    queue for a lock on a file beside the store instead, where the system wakes the next at once; others that write
    without it are waited for.

    Args:
        store: A ``ConnectionConfig``, or a server.
        create: Whether a run writes to it: a database that is not there is made, and its tables; and it is waited for.

    Raises:
        EnvironmentProblem: The server cannot be reached, or does not let the user in.
        RuntimeError: The file cannot be opened.
    """

    def __init__(self, store: Any, *, create: bool = True) -> None:
        self._server = store if isinstance(store, Server) else None
        self._opened = store.with_password(create=create) if isinstance(store, Server) else store
        self._connected = False
        self._create = create
        file = self._opened.sqlite.filename_uri if self._server is None else ""
        self._turns = Path(f"{file}{_TURNS}") if file else None
        with self._explained():
            for attempt in self._attempts():
                # Opening writes too: tables that are not there, and the version of those that are.
                with attempt, _turn(self._turns):
                    self._connect()

    def _connect(self) -> None:
        try:
            super().__init__(self._opened)
        except RuntimeError as error:
            if self._server is not None:
                _require_entry(self._server, str(error))
                raise errors.UnavailableError(str(error)) from error
            if _BUSY in str(error):
                raise errors.AbortedError(str(error)) from error
            raise
        self._max_num_retries = 1  # Here is who tries again.
        self._connected = True

    def _call(self, method_name: str, request: Any, response: Any, extra_options: Any = None) -> None:
        with self._explained():
            for attempt in self._attempts():
                with attempt, _turn(self._turns if method_name.startswith("Put") else None):
                    self._ask(method_name, request, response, extra_options)

    def _ask(self, method_name: str, request: Any, response: Any, extra_options: Any) -> None:
        if not self._connected:
            self._connect()
        try:
            super()._call(method_name, request, response, extra_options)
        except errors.StatusError as error:
            if self._server is not None and any(text in str(error) for text in _LOST):
                # ML Metadata crashes when such a connection is used again.
                self._connected = False
                raise errors.UnavailableError(str(error)) from error
            raise

    def _attempts(self) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type((errors.AbortedError, errors.UnavailableError)),
            stop=tenacity.stop_after_delay(PATIENCE_SECONDS if self._create else READING_SECONDS),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1),
            reraise=True,
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except errors.UnavailableError as error:
            raise EnvironmentProblem(
                UNREACHABLE,
                where=str(self._server),
                received=str(error).strip(),
                hint="see that the server runs and takes this user, then "
                + ("run again: finished steps are kept" if self._create else "ask again"),
            ) from error


def _require_entry(server: Server, message: str) -> None:
    """Find out why a server did not let ML Metadata in; what does not mend itself is not tried again.

    Raises:
        EnvironmentProblem: The user is refused, has no rights, or the store is of another version.
    """
    version = other_version(message, server)
    if version is not None:
        raise version
    finding = look_at(server)
    if finding is None or finding.trouble is Trouble.AWAY:
        return
    if finding.trouble in (Trouble.USER, Trouble.RIGHTS):
        raise refused(server, finding)
    if any(text in message for text in NO_RIGHTS):
        raise refused(server, replace(finding, trouble=Trouble.RIGHTS, said=message.strip()))


@contextmanager
def _turn(turns: Path | None) -> Iterator[None]:
    """Wait until no other process of ours writes, where there is a file to queue for."""
    if turns is None:
        yield
        return
    with turns.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
