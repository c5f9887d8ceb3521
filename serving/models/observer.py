"""What a manager tells those who count: metrics, tests, logs."""

from __future__ import annotations

from typing import Protocol

from penstock.serving.errors import ServingError
from penstock.serving.models.state import VersionStatus


class Observer(Protocol):
    """Gets told what happens to models.

    The methods are called by the manager's threads while it holds its lock: they must be quick and must not ask the
    manager anything.
    """

    def state_changed(self, name: str, status: VersionStatus) -> None:
        """A version of the model ``name`` has entered a state."""

    def load_attempted(self, name: str, version: int, seconds: float, error: ServingError | None) -> None:
        """A version was loaded, warm-up included, in so many seconds, or failed to."""


class Unobserved:
    """An observer that does nothing."""

    def state_changed(self, name: str, status: VersionStatus) -> None:
        """Do nothing."""

    def load_attempted(self, name: str, version: int, seconds: float, error: ServingError | None) -> None:
        """Do nothing."""
