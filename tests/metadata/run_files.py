"""A metadata store and the files beside it, as runs of a pipeline leave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

Outputs = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Output name → type and properties of the artifact."""


class History:
    """Writes what TFX's launcher writes.

    Args:
        root: The pipeline's root, in which ``metadata.sqlite`` and the artifacts' folders are made.
        pipeline: The pipeline's name.
        store: Written to instead of that file.
    """

    def __init__(self, root: Path, pipeline: str = "digits", store: Any = None) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.root = root
        self.pipeline = pipeline
        self.sqlite = root / "metadata.sqlite"
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(self.sqlite)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(config) if store is None else store

    def run(self, run: str, **facts: Any) -> None:
        """Write what the runner records of a run."""
        context = self._context("pipeline_run", run)
        _set(context.custom_properties, {"pipeline": self.pipeline, **facts})
        self.store.put_contexts([context])

    def step(
        self,
        run: str,
        step: str,
        outputs: Outputs | None = None,
        inputs: Mapping[str, Sequence[int]] | None = None,
        *,
        state: str = "COMPLETE",
        component: str = "",
        **parameters: Any,
    ) -> list[int]:
        """Write an execution; return the ids of what it made. Each output's folder holds a file of 100 bytes."""
        execution = self._execution(step, state, component, parameters)
        made = []
        for key, (kind, properties) in (outputs or {}).items():
            folder = self.root / step / key / str(execution.id)
            folder.mkdir(parents=True)
            (folder / "data").write_bytes(bytes(100))
            artifact = pb.Artifact(
                type_id=self.store.put_artifact_type(pb.ArtifactType(name=kind)),
                uri=str(folder),
                state=pb.Artifact.LIVE,
            )
            _set(artifact.custom_properties, properties)
            made.append((key, artifact))
        return self._publish(execution, run, step, made, inputs or {})

    def cached(self, run: str, step: str, outputs: Mapping[str, Sequence[int]]) -> None:
        """Write an execution that took its outputs from the cache."""
        execution = self._execution(step, "CACHED", "", {})
        found = [(key, one) for key, ids in outputs.items() for one in self.store.get_artifacts_by_id(ids)]
        self._publish(execution, run, step, found, {})

    def states(self) -> dict[int, str]:
        """Return artifact → state."""
        return {one.id: pb.Artifact.State.Name(one.state) for one in self.store.get_artifacts()}

    def _execution(self, step: str, state: str, component: str, parameters: Mapping[str, Any]) -> Any:
        execution = pb.Execution(
            type_id=self.store.put_execution_type(pb.ExecutionType(name=component or f"tfx.{step}")),
            last_known_state=pb.Execution.State.Value(state),
        )
        _set(execution.custom_properties, parameters)
        (key,) = self.store.put_executions([execution])
        (written,) = self.store.get_executions_by_id([key])
        return written

    def _publish(
        self,
        execution: Any,
        run: str,
        step: str,
        outputs: Sequence[tuple[str, Any]],
        inputs: Mapping[str, Sequence[int]],
    ) -> list[int]:
        used = [
            (artifact, _event(pb.Event.INPUT, key, place))
            for key, ids in inputs.items()
            for place, artifact in enumerate(self.store.get_artifacts_by_id(ids))
        ]
        made = [(artifact, _event(pb.Event.OUTPUT, key, 0)) for key, artifact in outputs]
        names = (("pipeline", self.pipeline), ("pipeline_run", run), ("node", f"{self.pipeline}.{step}"))
        contexts = [self._context(kind, name) for kind, name in names]
        _, ids, _ = self.store.put_execution(execution, [*used, *made], contexts, reuse_context_if_already_exist=True)
        return [int(key) for key in ids[len(used) :]]

    def _context(self, kind: str, name: str) -> Any:
        known = self.store.get_context_by_type_and_name(kind, name)
        return known or pb.Context(type_id=self.store.put_context_type(pb.ContextType(name=kind)), name=name)


def whole_run(history: History, run: str, version: int = 0, **facts: Any) -> dict[str, int]:
    """Write a run of a small pipeline, of which it pushed a version if that is not 0; return output → id."""
    history.run(run, **facts)
    (examples,) = history.step(run, "examples", {"examples": ("Examples", {"input_fingerprint": "split:train,sum:7"})})
    (statistics,) = history.step(run, "statistics", {"statistics": ("ExampleStatistics", {})}, {"examples": [examples]})
    (schema,) = history.step(run, "schema", {"schema": ("Schema", {})}, {"statistics": [statistics]})
    model, model_run = history.step(
        run,
        "trainer",
        {"model": ("Model", {"val_accuracy": 0.75, "commit": "abc"}), "model_run": ("ModelRun", {})},
        {"examples": [examples], "schema": [schema]},
    )
    (scores,) = history.step(
        run, "scores", {"predictions": ("InferenceResult", {"scored": 1, "rows": 9})}, {"model": [model]}
    )
    ids = {
        "examples": examples, "statistics": statistics, "schema": schema, "model": model, "model_run": model_run,
        "scores": scores,
    }  # fmt: skip
    if version:
        place = history.root / "serving" / "digits" / str(version)
        place.mkdir(parents=True, exist_ok=True)
        told = {"pushed": 1, "model_name": "digits", "pushed_version": str(version), "pushed_destination": str(place)}
        told |= {"digest": f"{version:064x}", "reason": "blessed", "labels": f'{{"stable": {version}}}'}
        (ids["pushed"],) = history.step(run, "pusher", {"pushed_model": ("PushedModel", told)}, {"model": [model]})
    return ids


def _set(properties: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        field = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
        setattr(properties[name], field, value)


def _event(kind: int, key: str, index: int) -> Any:
    event = pb.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = index
    return event
