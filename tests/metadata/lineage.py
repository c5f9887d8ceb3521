"""A metadata store as a run of a small pipeline leaves it: data → model → evaluation, pushed model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb


class Lineage:
    """Writes what TFX's launcher writes."""

    def __init__(self, file: Path) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.file = file
        self._store = metadata_store.MetadataStore(config)

    def push(self, version: int, digest: str, run: str = "run1", **facts_of_push: str) -> int:
        """Write a run that pushed a version; return the PushedModel's id."""
        data = self.made(
            "examples", run, "Examples", "/data/1", {"input_fingerprint": "sum:7\nxor:1"}, input_base="/raw"
        )
        facts = {"commit": "abc123", "dirty": 1, "accuracy": 0.75, "wall_seconds": 3.0, "hparams": "{}"}
        model = self.made("trainer", run, "Model", "/model/1", facts, [data], config='{"epochs": 3, "steps": null}')
        self.made("evaluator", run, "ModelEvaluation", "/evaluation/1", {}, [model, data])
        self.made("evaluator", run, "ModelBlessing", "/blessing/1", {"blessed": 1}, [model])
        self.made("scores", run, "InferenceResult", "/scores/1", {}, [model])
        told = {"pushed": 1, "digest": digest, "pushed_version": str(version), "reason": "blessed by the Evaluator"}
        return self.made("pusher", run, "PushedModel", "/pushed/1", {**told, **facts_of_push}, [model])

    def made(
        self,
        step: str,
        run: str,
        kind: str,
        uri: str,
        properties: dict[str, Any],
        inputs: list[int] | None = None,
        **parameters: str,
    ) -> int:
        """Write one execution with one output; return the output's id."""
        execution = pb.Execution(
            type_id=self._store.put_execution_type(pb.ExecutionType(name=step)), last_known_state=pb.Execution.COMPLETE
        )
        for key, value in parameters.items():
            execution.custom_properties[key].string_value = value
        artifact = pb.Artifact(type_id=self._store.put_artifact_type(pb.ArtifactType(name=kind)), uri=uri)
        for key, value in properties.items():
            field = {str: "string_value", int: "int_value", float: "double_value"}[type(value)]
            setattr(artifact.custom_properties[key], field, value)
        names = {"pipeline": "digits", "pipeline_run": run, "node": f"digits.{step}"}
        contexts = [
            pb.Context(type_id=self._store.put_context_type(pb.ContextType(name=kind)), name=name)
            for kind, name in names.items()
        ]
        used = [(found, _event(pb.Event.INPUT)) for found in self._store.get_artifacts_by_id(inputs or [])]
        _, ids, _ = self._store.put_execution(
            execution, [*used, (artifact, _event(pb.Event.OUTPUT))], contexts, reuse_context_if_already_exist=True
        )
        return int(ids[-1])


def _event(kind: int) -> Any:
    event = pb.Event(type=kind)
    event.path.steps.add().key = "key"
    return event
