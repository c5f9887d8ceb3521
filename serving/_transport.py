"""What the REST and the gRPC half of the client have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

from penstock.errors import EnvironmentProblem

if TYPE_CHECKING:
    from penstock.serving.model_config import ModelEntry
    from penstock.serving.models.state import VersionStatus

MOST_RETRIES = 4
"""gRPC makes no more than five attempts."""
FIRST_WAIT = 0.05
LONGEST_WAIT = 1.0


@dataclass(frozen=True)
class Target:
    """What a request is for.

    Attributes:
        model: The model's name.
        version: The version asked for; None for the one that the label names, or the newest.
        label: The label asked for.
        signature: The signature's name; None for the server's default.
    """

    model: str
    version: int | None = None
    label: str | None = None
    signature: str | None = None


class Transport(Protocol):
    """One way to reach a server. Every method raises ServingError and EnvironmentProblem as :class:`Client` says."""

    def predict(self, target: Target, *, instances: Sequence[Any] | None, inputs: Any) -> Any:
        """Return the predictions of rows, or the outputs for columns; exactly one of them is given."""

    def predict_arrays(self, target: Target, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the outputs for arrays, as arrays."""

    def classify(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return the classes of each example."""

    def regress(self, target: Target, examples: Sequence[Mapping[str, Any]], context: Mapping[str, Any] | None) -> Any:
        """Return the value of each example."""

    def status(self, target: Target) -> list[VersionStatus]:
        """Return the states of a model's versions."""

    def metadata(self, target: Target) -> Any:
        """Return what the REST API says of the model's signatures."""

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the server's whole config."""

    def close(self) -> None:
        """Close the connections."""


def unreachable(address: str, reason: str) -> EnvironmentProblem:
    """Return the error for a server that cannot be reached."""
    return EnvironmentProblem(
        f"no server can be reached at {address}",
        received=reason,
        expected="a model server that listens there",
        hint="start one with: penstock serve",
    )


def broken(address: str, reason: str) -> EnvironmentProblem:
    """Return the error for a server that went away before it had answered."""
    return EnvironmentProblem(
        f"the server at {address} ended the connection before it had answered",
        received=reason,
        hint="look at the server's log; it may have been stopped or have run out of memory",
    )


def odd(address: str, received: str, expected: str) -> EnvironmentProblem:
    """Return the error for an answer that no model server gives."""
    return EnvironmentProblem(
        f"{address} does not answer as a model server",
        received=received,
        expected=expected,
        hint="is this the port of a model server, and the one of this protocol? REST and gRPC have one each",
    )


def timed_out(address: str, seconds: float) -> EnvironmentProblem:
    """Return the error for a server that has not answered in time."""
    return EnvironmentProblem(
        f"the server at {address} has not answered within {seconds:g} s",
        hint="give it a longer timeout, or look at what the server does",
    )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, so that no proxy may stand between."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
