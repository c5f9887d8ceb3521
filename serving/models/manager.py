"""Keeps the models of a server as its config and the file system say, and hands out loaded versions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, check_entries, check_platforms
from penstock.serving.models.arrivals import Arrivals
from penstock.serving.models.handle import Handle, Use
from penstock.serving.models.labels import Labels, Placed, labels_before, labels_of, premature
from penstock.serving.models.lifecycle import Lifecycle
from penstock.serving.models.loader import load_servable
from penstock.serving.models.observer import Observer, Unobserved
from penstock.serving.models.options import ManagerOptions
from penstock.serving.models.polling import look
from penstock.serving.models.servable import Servable
from penstock.serving.models.state import VersionStatus
from penstock.serving.models.watch import Watch

__all__ = ["ManagerOptions", "ModelManager"]

_LOG = logging.getLogger(__name__)
_MOST_LOOKS = 100
"""How often a request follows a label that moves while it looks; only a config that never rests gets it this far."""


class ModelManager:
    """Serves the versions that the config asks for. All methods may be called by any thread.

    Nothing here holds a lock while it reads files, loads or waits.

    Args:
        options: How models are found, loaded and replaced.
        load: Loads a version: name, number and folder → the loaded version. Default: :func:`load_servable`.
        observer: Told of state changes and loads.

    Attributes:
        revision: How often the config has been replaced; see :meth:`follow`.
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
        self._closing = threading.Event()
        self._watch = Watch(
            "model-polling", "cannot look for versions", self.poll, self._options.poll_seconds, self._closing
        )
        # What follows is changed while `_life.changed` is held.
        self.revision = 0
        self._entries: tuple[ModelEntry, ...] | None = None
        self._labels: Labels = {}
        self._kept: Mapping[str, frozenset[int]] = {}
        self._empty: set[str] = set()
        self._looks = 0
        self._newest_look = 0

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the whole config and wait until every new model has an available version.

        Nothing changes if the config is refused. Labels move at once; the versions follow, and are not waited for.
        Other reloads do not wait for this one.

        Raises:
            ServingError: The config is refused, a label is to point to a version that is not available, a new model
                could not be loaded (which leaves the new config in place), or another reload asked for other things
                meanwhile.
        """
        wanted = tuple(entries)
        with self._life.changed:
            self._check(wanted)
            for label in self._premature(wanted):
                raise label.refusal()
            noun = "servable" if self._entries is None else "model"
            since = self._life.monitor.number
            arrivals = Arrivals(self._replace(wanted, labels_of(wanted), {}), since, noun)
        self._look_anew()
        self._wait_for(arrivals)

    def follow(self, entries: Sequence[ModelEntry], revision: int) -> None:
        """Take over what a config file says now, without waiting for anything.

        A label whose version is not available yet stays where it is, and so does the version that it names, until a
        later call finds the new one available. So a writer that knows nothing of this server may write the versions
        and the labels that it wants in the end.

        Args:
            entries: What the file says.
            revision: What :attr:`revision` was before the file was read. If it has changed, a reload was faster than
                the file could be read, and the call does nothing: what was read may be older.

        Raises:
            ServingError: The config is refused.
        """
        wanted = tuple(entries)
        with self._life.changed:
            if self.revision != revision:
                return
            self._check(wanted)
            waiting = list(self._premature(wanted))
            labels = labels_before(wanted, self._labels) if waiting else labels_of(wanted)
            kept = {name: frozenset(named.values()) for name, named in labels.items()} if waiting else {}
            if (wanted, labels, kept) == (self._entries, self._labels, self._kept):
                return
            self._replace(wanted, labels, kept)
        for model, label, version in waiting:
            _LOG.warning("the label %r of %s waits until version %d is AVAILABLE", label, model, version)
        self._look_anew()

    def poll(self) -> None:
        """Look at the file system once and set off what follows from it, without waiting for it.

        Raises:
            ServingError: A base path cannot be read; nothing has changed then, for any model.
        """
        with self._life.changed:
            self._looks += 1
            number, revision, entries = self._looks, self.revision, self._entries
        found = look(entries or ())
        with self._life.changed:
            # Another look may have begun later and ended earlier, or the config may be another one by now.
            if revision == self.revision and number > self._newest_look:
                self._newest_look = number
                self._report_empty(found)
                kept = {name: self._life.folders(name, versions) for name, versions in self._kept.items()}
                self._life.aspire({name: kept.get(name, {}) | versions for name, versions in found.items()})

    def start(self) -> None:
        """Look at the file system from now on, every ``poll_seconds``."""
        if self._options.poll_seconds > 0:
            self._watch.start()

    def end_waits(self) -> None:
        """Take no config any more, look for no versions, and end every reload that still waits, as UNAVAILABLE."""
        self._closing.set()
        with self._life.changed:
            self._life.changed.notify_all()

    def close(self, drain_seconds: float = 0.0) -> None:
        """Unload everything; requests that run longer than the drain then fail.

        Args:
            drain_seconds: Seconds to wait for them, and for loads in progress.
        """
        deadline = time.monotonic() + drain_seconds
        self.end_waits()
        with self._life.changed:
            self.revision += 1
            self._entries = ()
        self._life.close(drain_seconds)
        if not self._watch.join(max(0.0, deadline - time.monotonic())):
            _LOG.warning("the file system has not answered; a thread is left behind")

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
        return Use(self._acquire, name, version, label)

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
        if label is None:
            return self._life.acquire(name, version)
        for _ in range(_MOST_LOOKS):
            labels = self._labels
            named = labels.get(name, {}).get(label)
            if named is None:
                raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
            try:
                return self._life.acquire(name, named)
            except ServingError:
                # The label may have moved, and its version gone, since it was read.
                if labels is self._labels:
                    raise
        raise ServingError(Code.UNAVAILABLE, f"The label {label} of model {name} moves all the time")

    def _check(self, wanted: Sequence[ModelEntry]) -> None:
        if self._closing.is_set():
            raise _shutting_down()
        check_entries(wanted)
        check_platforms(wanted, self._entries or ())

    def _premature(self, wanted: Sequence[ModelEntry]) -> Iterator[Placed]:
        return premature(
            wanted,
            self._labels,
            self._life.monitor.is_available,
            allow_new=self._options.allow_labels_for_unavailable,
        )

    def _replace(
        self, wanted: tuple[ModelEntry, ...], labels: Labels, kept: Mapping[str, frozenset[int]]
    ) -> tuple[ModelEntry, ...]:
        """Replace the config; the lock is held. Return the models that are new."""
        served = set(self.names())
        self.revision += 1
        self._entries, self._labels, self._kept = wanted, labels, kept
        self._life.keep({entry.name for entry in wanted})
        return tuple(entry for entry in wanted if entry.name not in served)

    def _look_anew(self) -> None:
        if self._options.poll_seconds >= 0:
            self._watch.look()

    def _wait_for(self, arrivals: Arrivals) -> None:
        changed, monitor = self._life.changed, self._life.monitor
        with changed:
            changed.wait_for(
                lambda: self._closing.is_set() or arrivals.is_over(monitor, self._entries or ()),
                self._options.wait_seconds,
            )
            if self._closing.is_set():
                raise _shutting_down()
            arrivals.check(monitor, self._entries or ())

    def _report_empty(self, found: Mapping[str, Mapping[int, Path]]) -> None:
        """Log once which models have nothing to be served, as a reload may wait for them without an end."""
        bases = {entry.name: entry.base_path for entry in self._entries or ()}
        empty = {name for name, versions in found.items() if not versions}
        for name in sorted(empty - self._empty):
            _LOG.warning(
                "No versions of servable %s found under base path %s. Did you forget to name your leaf directory as a "
                "number (eg. '/1/')?",
                name,
                bases[name],
            )
        self._empty = empty


def _shutting_down() -> ServingError:
    return ServingError(Code.UNAVAILABLE, "The server is shutting down")
