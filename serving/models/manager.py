"""Keeps the models of a server as its config and the file system say, and hands out loaded versions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from types import TracebackType

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, check_entries, check_platforms
from penstock.serving.models.handle import Handle
from penstock.serving.models.lifecycle import Lifecycle
from penstock.serving.models.loader import load_servable
from penstock.serving.models.monitor import unavailable
from penstock.serving.models.observer import Observer, Unobserved
from penstock.serving.models.options import ManagerOptions
from penstock.serving.models.polling import look
from penstock.serving.models.servable import Servable
from penstock.serving.models.state import VersionStatus

__all__ = ["ManagerOptions", "ModelManager"]

_LOG = logging.getLogger(__name__)


class ModelManager:
    """Serves the versions that the config asks for. All methods may be called by any thread.

    Args:
        options: How models are found, loaded and replaced.
        load: Loads a version: name, number and folder → the loaded version. Default: :func:`load_servable`.
        observer: Told of state changes and loads.
    """

    def __init__(
        self,
        options: ManagerOptions | None = None,
        load: Callable[[str, int, Path], Servable] | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._options = options or ManagerOptions()
        load = load or partial(
            load_servable,
            batching=self._options.batching,
            per_model_batching=self._options.per_model_batching,
            warm_up=self._options.warm_up,
        )
        self._life = Lifecycle(self._options, load, observer or Unobserved())
        self._entries: tuple[ModelEntry, ...] | None = None
        self._labels: Mapping[str, Mapping[str, int]] = {}
        self._reloading = threading.Lock()
        self._polling = threading.Lock()
        self._closing = threading.Event()
        self._poller: threading.Thread | None = None
        self._complaint = ""

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the whole config and wait until every new model has an available version.

        Nothing changes if the config is refused. Labels move at once; the versions follow, and are not waited for.

        Raises:
            ServingError: The config is refused, a label is to point to a version that is not available, or a new
                model could not be loaded (which leaves the new config in place).
        """
        wanted = tuple(entries)
        with self._reloading:
            check_entries(wanted)
            served = self._entries or ()
            check_platforms(wanted, served)
            noun = "servable" if self._entries is None else "model"
            with self._polling, self._life.changed:
                since = self._life.monitor.number
                self._labels = self._checked_labels(wanted)
                self._entries = wanted
                self._life.keep({entry.name for entry in wanted})
            if self._options.poll_seconds >= 0:
                self._poll_and_log()
            self._wait_for({entry.name for entry in wanted} - {entry.name for entry in served}, since, noun)

    def poll(self) -> None:
        """Look at the file system once and set off what follows from it, without waiting for it.

        Raises:
            ServingError: A base path cannot be read; nothing has changed then, for any model.
        """
        with self._polling:
            self._life.aspire(look(self._entries or ()))

    def start(self) -> None:
        """Look at the file system from now on, every ``poll_seconds``."""
        if self._options.poll_seconds > 0 and self._poller is None:
            self._poller = threading.Thread(target=self._poll_for_ever, name="model-polling", daemon=True)
            self._poller.start()

    def close(self, drain_seconds: float = 0.0) -> None:
        """Unload everything; requests that run longer than the drain then fail.

        Args:
            drain_seconds: Seconds to wait for them, and for loads in progress.
        """
        self._closing.set()
        with self._life.changed:
            self._life.changed.notify_all()
        if self._poller:
            self._poller.join()
        with self._polling:
            self._entries = ()
        self._life.close(drain_seconds)

    def use(
        self, name: str, *, version: int | None = None, label: str | None = None
    ) -> AbstractContextManager[Servable]:
        """Give access to a version, which stays loaded until the block ends.

        Args:
            name: Name of the model.
            version: Its version; None: the newest that is available.
            label: A label of the config, instead of a version.

        Raises:
            ServingError: When the block is entered: there is no such model, version or label.
        """
        return _Use(self._acquire, name, version, label)

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        """Return the state of every version of a model that was ever served, newest first, or of one version.

        Raises:
            ServingError: There is none.
        """
        with self._life.changed:
            found = self._life.monitor.versions(name)
        if version is not None:
            found = [status for status in found if status.version == version]
            if not found:
                raise ServingError(Code.NOT_FOUND, f"Could not find version {version} of model {name}")
        if not found:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return found

    def names(self) -> list[str]:
        """Return the names of the models in the config, in its order."""
        return [entry.name for entry in self._entries or ()]

    def wait_until(self, reached: Callable[[], bool], timeout: float | None = None) -> bool:
        """Wait until something is true of the states; it is asked anew after every change.

        Args:
            reached: Asks this manager.
            timeout: Seconds to wait at most.

        Returns:
            Whether it is true.
        """
        with self._life.changed:
            return self._life.changed.wait_for(reached, timeout)

    def _acquire(self, name: str, version: int | None, label: str | None) -> Handle:
        if not name:
            raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
        if label is not None:
            version = self._labels.get(name, {}).get(label)
            if version is None:
                raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        return self._life.acquire(name, version)

    def _checked_labels(self, entries: Sequence[ModelEntry]) -> dict[str, dict[str, int]]:
        for entry in entries:
            for label, version in sorted(entry.labels.items()):
                present = self._labels.get(entry.name, {}).get(label, version)
                excused = self._options.allow_labels_for_unavailable and present == version
                if not excused and not self._life.monitor.is_available(entry.name, version):
                    raise ServingError(
                        Code.FAILED_PRECONDITION,
                        f"Request to assign label to version {version} of model {entry.name}, which is not currently "
                        "available for inference",
                    )
        return {entry.name: dict(entry.labels) for entry in entries}

    def _wait_for(self, names: set[str], since: int, noun: str) -> None:
        limit = self._options.wait_seconds
        deadline = None if limit is None else time.monotonic() + limit
        changed, monitor = self._life.changed, self._life.monitor
        while True:
            with changed:
                changed.wait_for(
                    lambda: self._closing.is_set() or monitor.outcomes(names, since) is not None,
                    self._pause(deadline),
                )
                outcomes = monitor.outcomes(names, since)
            if self._closing.is_set():
                raise ServingError(Code.UNAVAILABLE, "The server is shutting down")
            if outcomes is not None:
                if error := unavailable(outcomes, noun):
                    raise error
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise ServingError(Code.UNKNOWN, f"0 {noun}(s) did not become available: {{}}")
            if self._polls_itself():
                self._poll_and_log()

    def _polls_itself(self) -> bool:
        """Tell whether a reload must look for versions while it waits, because no thread does."""
        return self._poller is None and self._options.poll_seconds > 0

    def _pause(self, deadline: float | None) -> float | None:
        """Return how many seconds to wait in one go."""
        limits = [] if deadline is None else [max(0.0, deadline - time.monotonic())]
        if self._polls_itself():
            limits.append(self._options.poll_seconds)
        return min(limits, default=None)

    def _poll_for_ever(self) -> None:
        while not self._closing.wait(self._options.poll_seconds):
            self._poll_and_log()

    def _poll_and_log(self) -> None:
        try:
            self.poll()
        except ServingError as error:
            # It may say the same every second; once is enough.
            if error.message != self._complaint:
                _LOG.error("cannot look for versions: %s", error.message)
            self._complaint = error.message
        else:
            self._complaint = ""


class _Use:
    """A use of a version: counted from the beginning of a block to its end."""

    __slots__ = ("_acquire", "_asked", "_handle")

    def __init__(
        self,
        acquire: Callable[[str, int | None, str | None], Handle],
        name: str,
        version: int | None,
        label: str | None,
    ) -> None:
        self._acquire = acquire
        self._asked = (name, version, label)
        self._handle: Handle | None = None

    def __enter__(self) -> Servable:
        handle = self._handle = self._acquire(*self._asked)
        return handle.servable

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._handle:
            self._handle.release()
