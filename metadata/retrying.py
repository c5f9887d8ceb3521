"""A metadata store for many writers: they take turns, and what fails for a moment is tried again. Needs ml_metadata."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import tenacity
from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as metadata_store_serialized
from ml_metadata.proto import metadata_store_pb2 as pb

PATIENCE_SECONDS = 30.0
"""How long a write that others are in the way of, or a server that is away, is tried again."""
_LOST = ("gone away", "Lost connection", "Can't connect", "server closed the connection", "no connection to the server")
_TURNS = ".turns"


class RetryingStore(MetadataStore):  # type: ignore[misc]  # ml_metadata has no types.
    """ML Metadata's store, opened for reading and writing.

    SQLite lets one process write at a time, and ML Metadata asks again only after 100 to 300 ms, ten times. So writers
    queue for a lock on a file beside the store instead, where the system wakes the next at once; others that write
    without it are waited for. A connection to a server that was lost is made again.

    Args:
        config: A ``ConnectionConfig``.

    Raises:
        RuntimeError: It cannot be opened.
    """

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._max_num_retries = 1  # Here is who tries again.
        file = config.sqlite.filename_uri if config.WhichOneof("config") == "sqlite" else ""
        self._turns = Path(f"{file}{_TURNS}") if file else None

    def _call(self, method_name: str, request: Any, response: Any, extra_options: Any = None) -> None:
        again = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes),
            stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
            wait=tenacity.wait_random_exponential(multiplier=0.02, max=1),
            before_sleep=lambda state: self._reconnect(state.outcome),
            reraise=True,
        )
        for attempt in again:
            with attempt, self._turn(method_name):
                super()._call(method_name, request, response, extra_options)

    @contextmanager
    def _locked(self, turns: Path) -> Iterator[None]:
        with turns.open("a", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _turn(self, method_name: str) -> Any:
        return self._locked(self._turns) if self._turns and method_name.startswith("Put") else nullcontext()

    def _reconnect(self, outcome: Any) -> None:
        """Connect anew where the connection was lost; a server that is still away is met at the next attempt."""
        if outcome is None or not _is_lost(outcome.exception()):
            return
        try:
            self._metadata_store = metadata_store_serialized.CreateMetadataStore(
                self._config.SerializeToString(), pb.MigrationOptions().SerializeToString()
            )
        except RuntimeError:
            return


def _passes(error: BaseException) -> bool:
    return isinstance(error, errors.AbortedError | errors.UnavailableError) or _is_lost(error)


def _is_lost(error: BaseException | None) -> bool:
    return isinstance(error, errors.StatusError) and any(text in str(error) for text in _LOST)
