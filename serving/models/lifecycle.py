"""Loads and unloads versions, each in a thread of its own, until those that are wanted are those that are loaded."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.handle import Handle
from penstock.serving.models.loader import DamagedModelError
from penstock.serving.models.monitor import Monitor
from penstock.serving.models.observer import Observer
from penstock.serving.models.options import ManagerOptions
from penstock.serving.models.policy import TRANSITIONS, Phase
from penstock.serving.models.servable import Servable
from penstock.serving.models.slots import LoadSlots
from penstock.serving.models.state import State
from penstock.serving.models.stream import Managed, Stream

_LOG = logging.getLogger(__name__)
_CLOSE_SECONDS = 5.0
"""Seconds that TensorFlow has to close sessions: it waits for calls that wait for a batch to be full."""


class Lifecycle:
    """All versions of all models.

    Args:
        options: How to load and replace them.
        load: Loads a version: name, number and folder → the loaded version.
        observer: Told of state changes and loads.

    Attributes:
        changed: Held while anything here is changed, notified afterwards.
        monitor: The states; read it while holding ``changed``.
    """

    def __init__(self, options: ManagerOptions, load: Callable[[str, int, Path], Servable], observer: Observer) -> None:
        self.changed = threading.Condition()
        self.monitor = Monitor(observer)
        self._options = options
        self._load_version = load
        self._observer = observer
        self._streams: dict[str, Stream] = {}
        # Replaced as a whole and never changed, so that requests read it without a lock.
        self._serving: Mapping[tuple[str, int | None], Handle] = {}
        self._slots = LoadSlots(options.load_threads, self.changed)

    def aspire(self, wanted: Mapping[str, Mapping[int, Path]]) -> None:
        """Say which versions of some models are wanted from now on, and set off what follows from it.

        Args:
            wanted: Name of the model → version → its folder.
        """
        with self.changed:
            for name, versions in wanted.items():
                if name not in self._streams:
                    transition = TRANSITIONS[self._options.transition]
                    self._streams[name] = Stream(name, transition, self.monitor.publish)
                self._streams[name].aspire(versions)
            self._advance()

    def keep(self, names: set[str]) -> None:
        """Let go of every model that is not among ``names``."""
        with self.changed:
            self.aspire({name: {} for name in self._streams if name not in names})

    def folders(self, name: str, versions: Iterable[int]) -> dict[int, Path]:
        """Return those of some versions of a model that answer, each with its folder."""
        with self.changed:
            stream = self._streams.get(name)
            managed = stream.managed if stream else {}
            return {v: managed[v].path for v in versions if v in managed and managed[v].phase is Phase.READY}

    def acquire(self, name: str, version: int | None) -> Handle:
        """Begin the use of a version, or of the newest one.

        Raises:
            ServingError: It is not loaded.
        """
        while True:
            handle = self._serving.get((name, version))
            if handle is None:
                request = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {request}")
            # A version is taken out of the map before it retires, so the next look finds another, or none.
            if handle.acquire():
                return handle

    def close(self, drain_seconds: float) -> None:
        """Unload everything, if need be under the requests that still run.

        Args:
            drain_seconds: Seconds to wait for them, and for loads in progress.
        """
        self.keep(set())
        with self.changed:
            self.changed.wait_for(lambda: not any(stream.managed for stream in self._streams.values()), drain_seconds)
            left = [each for stream in self._streams.values() for each in stream.managed.values() if each.handle]
        closing = [(each, _start(self._close, each)) for each in left]
        deadline = time.monotonic() + _CLOSE_SECONDS
        for each, thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                _LOG.warning("version %d of %s is left behind: requests still run in it", each.version, each.name)

    def _advance(self) -> None:
        """Set off every load and unload that is due; the lock is held."""
        for stream in self._streams.values():
            while step := stream.step():
                kind, managed = step
                if kind == "load":
                    managed.phase = Phase.LOADING
                    self._publish(managed, State.LOADING)
                    self._slots.queue(managed)
                    _start(self._load, managed)
                else:
                    managed.phase = Phase.UNLOADING
                    self._publish(managed, State.UNLOADING)
                    self._update_serving()
                    _start(self._unload, managed)
        self.changed.notify_all()

    def _load(self, managed: Managed) -> None:
        retries = self._options.load_retries
        while True:
            with self._slots.slot(managed) as admitted:
                servable, error = self._attempt(managed) if admitted else (None, _cancelled())
                if servable or not admitted or not retries or isinstance(error, DamagedModelError):
                    # Told while the slot is still taken, so that outcomes come in the order of the loads.
                    self._end_load(managed, servable, error)
                    return
            retries -= 1
            if managed.cancelled.wait(max(0.0, self._options.retry_seconds)):
                self._end_load(managed, None, error)
                return
            self._slots.queue(managed)

    def _attempt(self, managed: Managed) -> tuple[Servable | None, ServingError | None]:
        name, version = managed.name, managed.version
        servable, failure = None, None
        start = time.monotonic()
        try:
            servable = self._load_version(name, version, managed.path)
        except ServingError as error:
            failure = error
            _LOG.error("version %d of %s cannot be loaded: %s", version, name, error)
        except Exception as error:  # noqa: BLE001  Whatever it is, the version must reach a state that callers see.
            failure = ServingError(Code.INTERNAL, f"{type(error).__name__}: {error}")
            _LOG.exception("version %d of %s cannot be loaded", version, name)
        self._observer.load_attempted(name, version, time.monotonic() - start, failure)
        return servable, failure

    def _end_load(self, managed: Managed, servable: Servable | None, error: ServingError | None) -> None:
        with self.changed:
            if servable and not managed.cancelled.is_set():
                managed.handle = Handle(servable)
                managed.phase = Phase.READY
                self._update_serving()
                self._publish(managed, State.AVAILABLE)
                self._advance()
                return
        if servable:
            servable.close()
            error = _cancelled()
        with self.changed:
            managed.phase = Phase.ERROR
            self._publish(managed, State.END, error)
            self._advance()

    def _unload(self, managed: Managed) -> None:
        handle = managed.handle
        assert handle is not None  # noqa: S101  Only what is READY is unloaded.
        try:
            if not handle.retire(self._options.drain_seconds):
                _LOG.warning("version %d of %s is unloaded while requests still run", managed.version, managed.name)
            handle.servable.close()
        finally:
            with self.changed:
                managed.phase = Phase.DISABLED
                self._publish(managed, State.END)
                self._advance()

    def _close(self, managed: Managed) -> None:
        if managed.handle:
            managed.handle.servable.close()

    def _publish(self, managed: Managed, state: State, error: ServingError | None = None) -> None:
        _LOG.info("version %d of %s: %s", managed.version, managed.name, state.name)
        self.monitor.publish(managed.name, managed.version, state, error)

    def _update_serving(self) -> None:
        serving: dict[tuple[str, int | None], Handle] = {}
        for stream in self._streams.values():
            # In ascending order, so that the newest is what remains for a request without a version.
            for version, managed in sorted(stream.managed.items()):
                if managed.phase is Phase.READY and managed.handle:
                    serving[stream.name, version] = serving[stream.name, None] = managed.handle
        self._serving = serving


def _cancelled() -> ServingError:
    return ServingError(Code.CANCELLED, "Loading of servable cancelled")


def _start(work: Callable[[Managed], None], managed: Managed) -> threading.Thread:
    name = f"{work.__name__.strip('_')}-{managed.name}-{managed.version}"
    thread = threading.Thread(target=work, args=(managed,), name=name, daemon=True)
    thread.start()
    return thread
