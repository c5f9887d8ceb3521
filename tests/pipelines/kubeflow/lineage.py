"""ML Metadata as KFP's driver and launcher write it (``metadata/client.go``, ``metadata/converter.go``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from google.protobuf import json_format, struct_pb2
from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb


class Lineage:
    """One run's executions and artifacts in a store of its own or shared with other runs."""

    def __init__(self, file: Path, pipeline: str, run: str) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        self.store = metadata_store.MetadataStore(config)
        self._contexts = [self._context("system.Pipeline", pipeline), self._context("system.PipelineRun", run)]

    def start(self, task: str, parameters: Mapping[str, Any], inputs: Mapping[str, pb.Artifact]) -> pb.Execution:
        execution = pb.Execution(
            type_id=self.store.put_execution_type(pb.ExecutionType(name="system.ContainerExecution")),
            last_known_state=pb.Execution.RUNNING,
        )
        execution.custom_properties["task_name"].string_value = task
        execution.custom_properties["inputs"].struct_value.update(parameters)
        pairs = [(artifact, _event(pb.Event.INPUT, name)) for name, artifact in inputs.items()]
        return self._put(execution, pairs)

    def end(self, execution: pb.Execution, state: int, outputs: Mapping[str, pb.Artifact]) -> None:
        execution.last_known_state = state
        self._put(execution, [(artifact, _event(pb.Event.OUTPUT, name)) for name, artifact in outputs.items()])

    def artifact(self, name: str, runtime: Mapping[str, Any]) -> pb.Artifact:
        """Record an output: every property is a custom one, every number a double."""
        title = runtime["type"].get("schemaTitle") or "system.Artifact"
        made = pb.Artifact(
            type_id=self.store.put_artifact_type(pb.ArtifactType(name=title)),
            uri=runtime["uri"],
            state=pb.Artifact.LIVE,
        )
        for key, value in runtime.get("metadata", {}).items():
            if isinstance(value, bool):
                made.custom_properties[key].int_value = int(value)
            elif isinstance(value, int | float):
                made.custom_properties[key].double_value = float(value)
            elif isinstance(value, str):
                made.custom_properties[key].string_value = value
            else:
                wrapped = {"list" if isinstance(value, list) else "struct": value}
                made.custom_properties[key].struct_value.CopyFrom(json_format.ParseDict(wrapped, struct_pb2.Struct()))
        made.custom_properties["display_name"].string_value = name
        made.custom_properties["store_session_info"].string_value = "{}"
        (made.id,) = self.store.put_artifacts([made])
        return made

    def executions(self, task: str) -> list[pb.Execution]:
        found = self.store.get_executions_by_context(self._contexts[1].id)
        return sorted(
            (each for each in found if each.custom_properties["task_name"].string_value == task), key=lambda e: e.id
        )

    def artifacts(self, task: str, kind: int = pb.Event.OUTPUT) -> dict[str, pb.Artifact]:
        """Return the artifacts of the task's last execution by name."""
        execution = self.executions(task)[-1]
        events = [event for event in self.store.get_events_by_execution_ids([execution.id]) if event.type == kind]
        by_id = {each.id: each for each in self.store.get_artifacts_by_id([event.artifact_id for event in events])}
        return {event.path.steps[0].key: by_id[event.artifact_id] for event in events}

    def _context(self, kind: str, name: str) -> pb.Context:
        type_id = self.store.put_context_type(pb.ContextType(name=kind))
        with suppress(errors.AlreadyExistsError):
            self.store.put_contexts([pb.Context(type_id=type_id, name=name)])
        return self.store.get_context_by_type_and_name(kind, name)

    def _put(self, execution: pb.Execution, pairs: list[tuple[pb.Artifact, pb.Event]]) -> pb.Execution:
        for artifact, event in pairs:
            event.artifact_id = artifact.id
        identity, _, _ = self.store.put_execution(execution, [(None, event) for _, event in pairs], self._contexts)
        (stored,) = self.store.get_executions_by_id([identity])
        return stored


def runtime_artifact(artifact: pb.Artifact) -> dict[str, Any]:
    """Return an input as KFP's driver hands it over: without its type (tfx#7768), every number a float."""
    metadata: dict[str, Any] = {}
    for key, value in artifact.custom_properties.items():
        kind = value.WhichOneof("value")
        content = getattr(value, kind)
        metadata[key] = json_format.MessageToDict(content) if kind == "struct_value" else content
        if kind == "int_value":
            metadata[key] = float(content)
    return {"name": str(artifact.id), "uri": artifact.uri, "type": {"instanceSchema": ""}, "metadata": metadata}


def _event(kind: int, name: str) -> pb.Event:
    return pb.Event(type=kind, path=pb.Event.Path(steps=[pb.Event.Path.Step(key=name)]))
