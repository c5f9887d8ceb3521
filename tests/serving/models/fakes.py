"""Loaded versions that are none, and a disk and a loader that do as they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.servable import Servable
from penstock.serving.models.state import State, VersionStatus

Make = Callable[..., ModelManager]
"""Makes a manager with some options changed."""
ONE_TRY = ManagerOptions(load_retries=0, poll_seconds=0)
PATIENCE = 120.0
"""Seconds after which a test that waits for an event fails; none is expected to take them."""


class FakeServable(Servable):
    """A loaded version that only knows whether it was closed."""

    def __init__(self, name: str, version: int) -> None:
        self.name = name
        self.version = version
        self.closed = threading.Event()

    def close(self) -> None:
        """Note it."""
        self.closed.set()


class FakeLoader:
    """Loads at once, unless told to wait or to fail.

    Attributes:
        loads: (name, version, name of the folder) of every attempt.
        loaded: Everything that was loaded.
    """

    def __init__(self) -> None:
        self.loads: list[tuple[str, int, str]] = []
        self.loaded: list[FakeServable] = []
        self._failures: dict[tuple[str, int], list[Exception]] = {}
        self._gates: dict[tuple[str, int], tuple[threading.Event, threading.Event]] = {}

    def fail(self, name: str, version: int, *errors: Exception) -> None:
        """Raise these errors, one an attempt."""
        self._failures[name, version] = list(errors)

    def __call__(self, name: str, version: int, path: Path) -> Servable:
        """Load."""
        self.loads.append((name, version, path.name))
        if (name, version) in self._gates:
            begun, go_on = self._gates[name, version]
            begun.set()
            assert go_on.wait(PATIENCE)
        if failures := self._failures.get((name, version)):
            raise failures.pop(0)
        servable = FakeServable(name, version)
        self.loaded.append(servable)
        return servable

    @contextmanager
    def held(self, name: str, version: int) -> Iterator[Callable[[], bool]]:
        """Hold the loads of a version until the block ends; yields a function that waits for one to begin."""
        begun, go_on = threading.Event(), threading.Event()
        self._gates[name, version] = begun, go_on
        try:
            yield lambda: begun.wait(PATIENCE)
        finally:
            del self._gates[name, version]
            go_on.set()


class Recorder:
    """Writes down what a manager does, as ``"m 1 AVAILABLE"`` and, for an error, ``"m 1 END DATA_LOSS"``."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.attempts: list[tuple[str, int, ServingError | None]] = []
        self.failed = threading.Event()

    def state_changed(self, name: str, status: VersionStatus) -> None:
        """Write it down."""
        error = f" {status.code.name}" if status.code else ""
        self.states.append(f"{name} {status.version} {status.state.name}{error}")

    def load_attempted(self, name: str, version: int, seconds: float, error: ServingError | None) -> None:
        """Write it down."""
        assert seconds >= 0
        self.attempts.append((name, version, error))
        if error:
            self.failed.set()


def states(manager: ModelManager, name: str) -> dict[int, State]:
    """Return the state of every version of a model; empty for one that never had any."""
    try:
        return {status.version: status.state for status in manager.status(name)}
    except ServingError:
        return {}


def wait_for(manager: ModelManager, name: str, **expected: str) -> None:
    """Wait until versions are in states: ``wait_for(manager, "m", v1="AVAILABLE")``."""
    wanted = {int(version[1:]): State[state] for version, state in expected.items()}
    assert manager.wait_until(lambda: wanted.items() <= states(manager, name).items(), PATIENCE), states(manager, name)


def make(base: Path, *versions: int | str) -> Path:
    """Make a base path with empty versions."""
    base.mkdir(exist_ok=True)
    for version in versions:
        (base / str(version)).mkdir()
    return base


def answering(manager: ModelManager, names: Sequence[str] = ("m",)) -> dict[str, int | None]:
    """Return which version answers a request that names none."""
    found: dict[str, int | None] = {}
    for name in names:
        try:
            with manager.use(name) as servable:
                found[name] = servable.version
        except ServingError:
            found[name] = None
    return found


def latest(base: Path) -> list[ModelEntry]:
    """Return the config of one model that is served by its newest version."""
    return [ModelEntry("m", str(base))]


def specific(base: Path, *versions: int) -> list[ModelEntry]:
    """Return the config of one model that is served by these versions."""
    return [ModelEntry("m", str(base), policy=VersionPolicy("specific", versions=versions))]


def entry_of(base: Path, *versions: int, **labels: int) -> ModelEntry:
    """Return the entry of a model that is called as its folder is."""
    policy = VersionPolicy("specific", versions=versions) if versions else VersionPolicy()
    return ModelEntry(base.name, str(base), policy=policy, labels=labels)
