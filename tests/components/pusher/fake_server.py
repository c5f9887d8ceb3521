"""A model server that writes down what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from penstock.components.pusher.roll_out import in_service
from penstock.components.pusher.service import Service
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.models.state import VersionStatus


class FakeServer:
    """Writes down what it is told. ``fail`` is the call, counted from 0, that ends in ``error``."""

    def __init__(self, fail: int | None = None, error: Exception | None = None) -> None:
        self.told: list[str] = []
        self.closed = False
        self._fail = fail
        self._error = error or ServingError(Code.UNAVAILABLE, "gone")

    def _tell(self, text: str) -> None:
        if len(self.told) == self._fail:
            self.told.append(f"{text} fails")
            raise self._error
        self.told.append(text)

    def status(self, model: str) -> list[VersionStatus]:
        raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {model}")

    def reload(self, entries: Sequence[ModelEntry]) -> None:
        self._tell("; ".join(map(_shown, entries)) or "nothing")

    def wait_available(self, model: str, version: int, timeout: float) -> None:
        self._tell(f"wait {version} {timeout:g}s")

    def close(self) -> None:
        self.closed = True


def _shown(entry: ModelEntry) -> str:
    labels = "".join(f" {label}={version}" for label, version in entry.labels.items())
    which = entry.policy.kind if entry.policy.kind != "specific" else list(entry.policy.versions)
    return f"{entry.name} {which}{labels}"


def run(service: Service, server: FakeServer, present: set[int], version: int) -> dict[str, int]:
    """Put a version in service with this server; return the labels that were moved."""
    with in_service(service, lambda: present, lambda _: server) as roll_out:
        return dict(roll_out.run(version))


def put(config: Path, versions: tuple[int, ...], **labels: int) -> ModelEntry:
    """Write a config of the one model, and return its entry."""
    entry = ModelEntry("digits", "/serving/digits", policy=VersionPolicy("specific", versions=versions), labels=labels)
    ModelsFile(config).update(lambda _: (entry,))
    return entry
