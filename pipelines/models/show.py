"""What is known about a model and its versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock.components.pusher.flatbuffers import modes_of
from penstock.errors import ArtifactError, PenstockError
from penstock.metadata.label_changes import label_changes
from penstock.metadata.provenance import Made, Provenance, provenance
from penstock.pipelines.models.conversions import Converted, conversions
from penstock.pipelines.models.evaluation import overall_metrics
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.tracking import digest_of, tracked
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.manifest import verify
from penstock.serving.models.state import State
from penstock.serving.running import running_server

_PREDICTIONS = frozenset({"InferenceResult", "Predictions"})
_SERVER_SECONDS = 5.0


@dataclass(frozen=True)
class Story:
    """Where a version comes from, as far as a metadata store knows.

    Attributes:
        store: The store.
        pipeline: The pipeline that pushed it.
        run: The run that pushed it.
        reason: Why it was pushed.
        commit: Commit of the project's code; ``+`` behind it where files differed from it.
        data: URI → what identifies the data that was read from outside.
        parameters: The training's parameters.
        training: Metrics of the training.
        evaluation: Metrics of the Evaluator, over all rows.
        blessed: The Evaluator's verdict, None where there is none.
        conversions: The flatbuffers that were made of the model, the last of each mode.
        predictions: URIs of the predictions that the model made.
        labels: Changes of labels to this version, and away from it, that were recorded.
    """

    store: Path
    pipeline: str
    run: str
    reason: str
    commit: str | None
    data: Mapping[str, str]
    parameters: Mapping[str, Any]
    training: Mapping[str, float]
    evaluation: Mapping[str, float]
    blessed: bool | None
    conversions: tuple[Converted, ...]
    predictions: tuple[str, ...]
    labels: tuple[str, ...]


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
                story=_story(model, number) if version is not None else None,
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


def _story(model: Model, version: int) -> Story | None:
    place = tracked(model, version)
    return _told(provenance(place.sqlite, place.artifact), model.name, version) if place is not None else None


def _told(known: Provenance, name: str, version: int) -> Story:
    facts = known.model.artifact.properties if known.model else {}
    moves = [move for move in label_changes(known.sqlite, name) if version in (move.before, move.after)]
    blessings = [made.artifact.properties.get("blessed") for made in known.findings if _is(made, "ModelBlessing")]
    return Story(
        store=known.sqlite,
        pipeline=known.pipeline,
        run=known.pushed.run,
        reason=str(known.pushed.artifact.properties.get("reason", "")),
        commit=f"{facts['commit']}{'+' if facts.get('dirty') else ''}" if "commit" in facts else None,
        data={_origin(made): _identity(made) for made in known.data},
        parameters=_parameters(known.model),
        training={key: float(value) for key, value in sorted(facts.items()) if _is_metric(key, value)},
        evaluation=_evaluation(known),
        blessed=None if not blessings or blessings[-1] is None else blessings[-1] == 1,
        conversions=conversions(known),
        predictions=tuple(made.artifact.uri for made in known.findings if made.artifact.type in _PREDICTIONS),
        labels=tuple(
            f"{_when(move.time)} {move.kind} {move.label}: {move.before or 'new'} → {move.after}"
            + (f" failed: {move.error.splitlines()[0]}" if move.error else "")
            for move in moves
        ),
    )


def _when(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def _is(made: Made, kind: str) -> bool:
    return made.artifact.type == kind


def _origin(made: Made) -> str:
    return str(made.parameters.get("input_base", made.artifact.uri))


def _identity(made: Made) -> str:
    fingerprint = made.artifact.properties.get("input_fingerprint")
    return str(fingerprint).replace("\n", "; ") if fingerprint else f"artifact {made.artifact.id}"


def _parameters(model: Made | None) -> Mapping[str, Any]:
    """Return a training's parameters: our Trainer's as one JSON object, another's as they are."""
    parameters = dict(model.parameters) if model else {}
    try:
        config = json.loads(str(parameters.get("config", "")))
    except ValueError:
        return parameters
    return config if isinstance(config, dict) else parameters


def _is_metric(name: str, value: object) -> bool:
    """Whether a property of a model is a metric: its other properties with a point are these two."""
    return isinstance(value, float) and name not in ("wall_seconds", "examples_per_second")


def _evaluation(known: Provenance) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for made in known.findings:
        if _is(made, "ModelEvaluation"):
            metrics.update(overall_metrics(Path(made.artifact.uri)))
    return metrics
