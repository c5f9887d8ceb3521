"""What is known about a model and its versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penstock.components.pusher.flatbuffers import modes_of
from penstock.errors import ArtifactError, PenstockError
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.story import Story, story_of
from penstock.pipelines.models.tracking import digest_of
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.manifest import verify
from penstock.serving.models.state import State
from penstock.serving.running import running_server

_SERVER_SECONDS = 5.0


@dataclass(frozen=True)
class VersionFacts:
    """One version.

    Attributes:
        version: Its number.
        path: Its folder.
        digest: Digest of its manifest; None where somebody else put it there.
        labels: The labels that point to it.
        asked_for: Whether the config asks a server for it.
        state: Its state in the running server; None where none runs.
        modes: The modes of its flatbuffers; none where it is a SavedModel.
        story: Where it comes from; None where no store knows it.
    """

    version: int
    path: Path
    digest: str | None
    labels: tuple[str, ...]
    asked_for: bool
    state: str | None = None
    modes: tuple[str, ...] = ()
    story: Story | None = None


@dataclass(frozen=True)
class ModelFacts:
    """One model; ``server`` is the address of the server that runs with its config."""

    name: str
    base: str
    config: Path
    labels: Mapping[str, int]
    server: str | None
    flatbuffers: bool
    versions: tuple[VersionFacts, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON data."""
        return asdict(self)


def describe(model: Model, version: int | None = None) -> ModelFacts:
    """Return what is known about a model.

    Args:
        model: The model.
        version: The version to tell everything about; all, in short, when None.

    Raises:
        ArtifactError: There is no such version.
    """
    present = model.versions()
    if version is not None and version not in present:
        raise ArtifactError(
            f"version {version} of {model.name} is not there",
            where=model.base,
            expected=f"one of {', '.join(map(str, present))}" if present else "a pushed version",
        )
    server, states = known_states(model)
    served = model.served()
    chosen = present if version is None else {version: present[version]}
    return ModelFacts(
        model.name,
        model.base,
        model.config,
        model.labels,
        server,
        model.flatbuffers,
        tuple(
            VersionFacts(
                version=number,
                path=path,
                digest=digest_of(path),
                labels=tuple(label for label, target in model.labels.items() if target == number),
                asked_for=number in served,
                state=states.get(number),
                modes=modes_of(path) if model.flatbuffers else (),
                story=story_of(model, number) if version is not None else None,
            )
            for number, path in chosen.items()
        ),
    )


def damage(path: Path) -> str | None:
    """Return what is wrong with the files of a version, or None when they are as they were pushed."""
    try:
        verify(path)
    except ArtifactError as error:
        return error.received or error.what
    return None


def known_states(model: Model) -> tuple[str | None, dict[int, str]]:
    """Return the address of the server that runs with the model's config, and its versions' states.

    A server that does not say is told with its address; None where none runs, or none reads such a model.
    """
    server = None if model.flatbuffers else running_server(model.config)
    if server is None:
        return None, {}
    try:
        return server.grpc, _states(server.grpc, model.name)
    except ServingError as error:
        return f"{server.grpc} (it answers {error})", {}
    except PenstockError as error:
        return f"{server.grpc} ({error.what})", {}


def available_versions(model: Model) -> set[int]:
    """Return the versions that the server that runs with the model's config has AVAILABLE; none where none runs.

    Raises:
        EnvironmentProblem: The server does not answer.
        ServingError: It cannot say.
    """
    server = running_server(model.config)
    states = _states(server.grpc, model.name) if server is not None else {}
    return {version for version, state in states.items() if state == State.AVAILABLE.name}


def _states(grpc: str, name: str) -> dict[int, str]:
    with Client(grpc=grpc, timeout=_SERVER_SECONDS, retries=0) as client:
        try:
            return {one.version: one.state.name for one in client.status(name)}
        except ServingError as error:
            if error.code != Code.NOT_FOUND:
                raise
            return {}
