"""Where a model is served, under which labels, and the running server that is to be told about a push."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from penstock.components.pusher.config import LabelValue
from penstock.components.pusher.words import is_url
from penstock.reporting import note
from penstock.serving.model_config import ModelEntry
from penstock.serving.models.state import VersionStatus
from penstock.serving.running import RunningServer, running_server

WAIT_SECONDS = 60.0
"""How long a version may take to become AVAILABLE where labels depend on it and nothing else is said."""


class Server(Protocol):
    """What is asked of a running server; :class:`penstock.serving.client.Client` is one."""

    def status(self, model: str) -> list[VersionStatus]:
        """Return the states of a model's versions."""

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        """Replace the whole config."""

    def wait_available(self, model: str, version: int, timeout: float) -> None:
        """Return when a version is AVAILABLE."""

    def close(self) -> None:
        """End the connection."""


@dataclass(frozen=True)
class Service:
    """What is served, where and under which labels.

    Attributes:
        name: The model's name on the server.
        base: Base path, absolute or a URL.
        config: The models.config that the server runs with; None where there is none to keep.
        grpc: Address of the running server; None: the one that ``penstock serve`` started on the config, if any.
        labels: Label → ``this``, ``latest``, ``keep`` or a version.
        wait_seconds: How long to wait for AVAILABLE; None: only where labels depend on it.
        running: The record of that server, where ``penstock serve`` started it: it may serve other models too, which a
            reload that left them out would end.
    """

    name: str
    base: str
    config: Path | None = None
    grpc: str | None = None
    labels: Mapping[str, LabelValue] = field(default_factory=dict)
    wait_seconds: float | None = None
    running: RunningServer | None = None

    @property
    def names_versions(self) -> bool:
        """Whether versions are served because the config names them, not because they are there."""
        return bool(self.labels) or is_url(self.base)


Connect: TypeAlias = Callable[[Service], Server]


def connect(service: Service) -> Server:
    """Return a client of the service's server. A call may take as long as a version to load: a reload waits for it."""
    from penstock.serving.client import Client

    return Client(grpc=service.grpc, timeout=service.wait_seconds or WAIT_SECONDS)


def with_running_server(service: Service) -> Service:
    """Return the service with its server as ``penstock serve`` recorded it, where nobody named another one.

    Raises:
        EnvironmentProblem: The record cannot be read.
    """
    running = running_server(service.config) if service.config is not None else None
    if running is not None and service.grpc in (None, running.grpc):
        return replace(service, grpc=running.grpc, running=running)
    if service.grpc is None and service.wait_seconds is not None:
        note(f"no server that is known runs with {service.config}: there is nothing to wait for")
    return service
