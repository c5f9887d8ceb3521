"""Remembers the state of every version that was ever served, as the ModelService shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.observer import Observer
from penstock.serving.models.state import State, VersionStatus


@dataclass(frozen=True)
class _Event:
    number: int
    status: VersionStatus


class Monitor:
    """The states of all versions; its owner's lock protects it.

    Args:
        observer: Told of every change.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._models: dict[str, dict[int, _Event]] = {}
        self.number = 0
        """How many changes there have been; later ones have higher numbers."""

    def publish(self, name: str, version: int, state: State, error: ServingError | None = None) -> None:
        """Note that a version has entered a state."""
        code, message = (error.code, error.message) if error else (Code.OK, "")
        self.number += 1
        status = VersionStatus(version, state, code, message)
        self._models.setdefault(name, {})[version] = _Event(self.number, status)
        self._observer.state_changed(name, status)

    def versions(self, name: str) -> list[VersionStatus]:
        """Return the states of a model's versions, newest version first."""
        return [event.status for _, event in sorted(self._models.get(name, {}).items(), reverse=True)]

    def is_available(self, name: str, version: int) -> bool:
        """Tell whether a version answers requests."""
        event = self._models.get(name, {}).get(version)
        return event is not None and event.status.state is State.AVAILABLE

    def outcomes(self, names: Iterable[str], since: int) -> dict[str, VersionStatus] | None:
        """Return, once every model has one, a version of each that is available or failed.

        Args:
            names: The models.
            since: Only changes with a higher number count.
        """
        found = {name: self._outcome(name, since) for name in names}
        known = {name: status for name, status in found.items() if status}
        return known if len(known) == len(found) else None

    def _outcome(self, name: str, since: int) -> VersionStatus | None:
        for _, event in sorted(self._models.get(name, {}).items(), reverse=True):
            if event.number > since and _is_outcome(event.status):
                return event.status
        return None


def _is_outcome(status: VersionStatus) -> bool:
    # What ended for another reason than a failure is not wanted any more: a newer version is, or one will be.
    failed = status.state is State.END and status.code not in (Code.OK, Code.CANCELLED)
    return failed or status.state is State.AVAILABLE


def unavailable(outcomes: dict[str, VersionStatus], noun: str) -> ServingError | None:
    """Return what TF Serving says of a config with models that did not become available; None if all did."""
    failed = [(name, status) for name, status in sorted(outcomes.items()) if status.state is not State.AVAILABLE]
    if not failed:
        return None
    parts = [
        f"{{{{name: {name} version: {status.version}}} due to error: {status.code.name}: {status.message}}}, "
        for name, status in failed
    ]
    return ServingError(Code.UNKNOWN, f"{len(failed)} {noun}(s) did not become available: {{{''.join(parts)}}}")
