"""Where a pushed version comes from: its run, its data, the parameters it was trained with, what was found about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.metadata.connection import explained, open_store
from penstock.metadata.records import Artifact, Value, scalar_properties

PUSHED_MODEL = "PushedModel"
CONVERTED_MODEL = "TFLiteModel"
_DEPTH = 20
"""Steps between a pushed model and its data, at most; a store with a circle in it ends here."""


@dataclass(frozen=True)
class Made:
    """An artifact, and the execution that made it.

    Attributes:
        artifact: The artifact.
        step: Name of the step that made it; empty where nothing in the store did.
        run: The run that made it; later runs may have taken it from the cache.
        parameters: The parameters that the step had.
        source: Whether it was made of nothing else in the store: data from outside.
    """

    artifact: Artifact
    step: str = ""
    run: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    source: bool = True


@dataclass(frozen=True)
class Provenance:
    """Where a version comes from.

    Attributes:
        sqlite: The store that knows it.
        pipeline: The pipeline's name.
        pushed: The PushedModel artifact.
        model: The model that was pushed, or that the flatbuffers that were pushed are conversions of; None where the
            store does not know it.
        ancestors: All that the model was made of, nearest first.
        findings: What was made from the model, or from the version that was pushed: evaluations, blessings,
            predictions, conversions.
    """

    sqlite: Path
    pipeline: str
    pushed: Made
    model: Made | None = None
    ancestors: tuple[Made, ...] = ()
    findings: tuple[Made, ...] = ()

    @property
    def data(self) -> tuple[Made, ...]:
        """The examples that were read from outside."""
        return tuple(made for made in self.ancestors if made.artifact.type == "Examples" and made.source)


def pushed_model(sqlite: Path, digest: str, version: int) -> int | None:
    """Return the id of the PushedModel artifact of a version, or None where the store does not know it.

    Args:
        sqlite: The store's file.
        digest: Digest of the version's manifest.
        version: Its number: the same model may have been pushed twice.
    """
    return _found(sqlite, {"digest": digest, "pushed_version": str(version)})


def pushed_to(sqlite: Path, model: str, version: int, destination: str) -> int | None:
    """Return the id of the PushedModel artifact of a version by where it was pushed to, or None.

    Args:
        sqlite: The store's file.
        model: The model's name on the server.
        version: The version.
        destination: Its path or URL.
    """
    return _found(sqlite, {"model_name": model, "pushed_version": str(version), "pushed_destination": destination})


def provenance(sqlite: Path, artifact: int) -> Provenance:
    """Return where a version comes from.

    Args:
        sqlite: The store's file.
        artifact: Id of its PushedModel.
    """
    with explained(sqlite):
        store = open_store(sqlite)
        (pushed,) = store.get_artifacts_by_id([artifact])
        return _Lineage(store, sqlite).of(pushed)


def _found(sqlite: Path, properties: Mapping[str, str]) -> int | None:
    with explained(sqlite):
        store = open_store(sqlite)
        known = {found.name for found in store.get_artifact_types()}
        for artifact in store.get_artifacts_by_type(PUSHED_MODEL) if PUSHED_MODEL in known else ():
            if properties.items() <= scalar_properties(artifact).items():
                return int(artifact.id)
    return None


class _Lineage:
    """Walks a store from artifact to artifact."""

    def __init__(self, store: Any, sqlite: Path) -> None:
        from ml_metadata.proto import metadata_store_pb2 as pb

        self._store = store
        self._sqlite = sqlite
        self._event = pb.Event

    def of(self, pushed: Any) -> Provenance:
        made = self._made(pushed)
        inputs = self._inputs(pushed.id)
        converted = [artifact.id for artifact in inputs if artifact.type == CONVERTED_MODEL]
        inputs += self._inputs(converted[0]) if converted else []
        models = [artifact for artifact in inputs if artifact.type == "Model"]
        return Provenance(
            sqlite=self._sqlite,
            pipeline=self._context(self._producer(pushed.id), "pipeline"),
            pushed=made,
            model=self._made(models[0]) if models else None,
            ancestors=tuple(self._ancestors(models[0].id)) if models else (),
            findings=tuple(self._findings([*(model.id for model in models[:1]), pushed.id])),
        )

    def _ancestors(self, artifact_id: int) -> Iterator[Made]:
        seen, level = {artifact_id}, [artifact_id]
        for _ in range(_DEPTH):
            found = {artifact.id: artifact for one in level for artifact in self._inputs(one)}
            level = [key for key in found if key not in seen]
            seen.update(level)
            yield from (self._made(found[key]) for key in level)

    def _findings(self, artifact_ids: list[int]) -> Iterator[Made]:
        readers = self._executions(artifact_ids, self._event.INPUT)
        outputs = self._artifacts(readers, self._event.OUTPUT)
        yield from (self._made(artifact) for artifact in outputs if artifact.type != PUSHED_MODEL)

    def _made(self, artifact: Any) -> Made:
        producer = self._producer(artifact.id)
        record = Artifact(artifact.id, artifact.type, artifact.uri, scalar_properties(artifact))
        if producer is None:
            return Made(record)
        (execution,) = self._store.get_executions_by_id([producer])
        return Made(
            artifact=record,
            # TFX names the node's context after pipeline and step.
            step=self._context(producer, "node").rpartition(".")[2],
            run=self._context(producer, "pipeline_run"),
            parameters=scalar_properties(execution),
            source=not self._artifacts([producer], self._event.INPUT),
        )

    def _inputs(self, artifact_id: int) -> list[Any]:
        producer = self._producer(artifact_id)
        return [] if producer is None else self._artifacts([producer], self._event.INPUT)

    def _producer(self, artifact_id: int) -> int | None:
        """Return the execution that made an artifact; those after it took it from the cache."""
        return min(self._executions([artifact_id], self._event.OUTPUT), default=None)

    def _executions(self, artifact_ids: list[int], kind: int) -> list[int]:
        events = self._store.get_events_by_artifact_ids(artifact_ids)
        return sorted({event.execution_id for event in events if event.type == kind})

    def _artifacts(self, execution_ids: list[int], kind: int) -> list[Any]:
        events = self._store.get_events_by_execution_ids(execution_ids) if execution_ids else []
        ids = sorted({event.artifact_id for event in events if event.type == kind})
        return list(self._store.get_artifacts_by_id(ids)) if ids else []

    def _context(self, execution_id: int | None, kind: str) -> str:
        contexts = self._store.get_contexts_by_execution(execution_id) if execution_id is not None else []
        return next((str(context.name) for context in contexts if context.type == kind), "")
