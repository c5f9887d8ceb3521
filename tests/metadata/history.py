"""Writes a metadata store run by run, as TFX's launcher and our runner do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

_FIELDS = {str: "string_value", int: "int_value", float: "double_value"}


class History:
    """A store to which runs are added, a file or one that is open; executions and artifacts get ids from 1 on."""

    def __init__(self, file: Path, pipeline: str = "digits", store: Any = None) -> None:
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.file = file
        self.pipeline = pipeline
        self.store = metadata_store.MetadataStore(config) if store is None else store

    def begin(self, run: str, **facts: Any) -> None:
        """Record a run's facts, as the runner does before its first step."""
        context = pb.Context(type_id=self._context_type("pipeline_run"), name=run)
        _set(context, facts)
        self.store.put_contexts([context])

    def step(
        self,
        run: str,
        step: str,
        outputs: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Sequence[int]] | None = None,
        state: str = "COMPLETE",
        component: str = "tfx.components.x.component.Some",
        **properties: Any,
    ) -> list[int]:
        """Write one execution; an output is an id, or its type and properties. Returns the ids of the outputs."""
        kind = self.store.put_execution_type(pb.ExecutionType(name=component))
        execution = pb.Execution(type_id=kind, last_known_state=pb.Execution.State.Value(state))
        _set(execution, properties)
        links: list[tuple[Any, Any]] = []
        for key, ids in (inputs or {}).items():
            links += [(found, event(pb.Event.INPUT, key)) for found in self.store.get_artifacts_by_id(ids)]
        for key, output in (outputs or {}).items():
            links.append((self._output(run, step, key, output), event(pb.Event.OUTPUT, key)))
        names = {"pipeline": self.pipeline, "pipeline_run": run, "node": f"{self.pipeline}.{step}"}
        contexts = [pb.Context(type_id=self._context_type(one), name=name) for one, name in names.items()]
        _, ids, _ = self.store.put_execution(execution, links, contexts, reuse_context_if_already_exist=True)
        return [int(one) for one in ids[-len(outputs) :]] if outputs else []

    def _output(self, run: str, step: str, key: str, output: Any) -> Any:
        if isinstance(output, int):
            (known,) = self.store.get_artifacts_by_id([output])
            return known
        name, properties = output
        kind = self.store.put_artifact_type(pb.ArtifactType(name=name))
        uri = properties.pop("uri", f"/{self.pipeline}/{step}/{key}/{run}")
        artifact = pb.Artifact(type_id=kind, uri=uri, state=pb.Artifact.LIVE)
        _set(artifact, properties)
        return artifact

    def _context_type(self, name: str) -> int:
        return int(self.store.put_context_type(pb.ContextType(name=name)))


def event(kind: int, key: str) -> Any:
    made = pb.Event(type=kind)
    made.path.steps.add().key = key
    made.path.steps.add().index = 0
    return made


def _set(owner: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(owner.custom_properties[name], _FIELDS[type(value)], value)


METRICS = '{"overall": {"example_count": 360, "accuracy": 0.96}, "label=8": {"example_count": 36, "accuracy": 0.83}}'


def two_runs(file: Path, store: Any = None) -> History:
    """A run of data → model → evaluation → push, and one with another number of epochs whose data is cached."""
    history = History(file, store=store)
    first = {"config_digest": "c1", "config": '{"vars": {"epochs": 5}}', "commit": "a" * 40, "dirty": 0}
    first |= {
        "tfx_version": "1.21.0",
        "code": '{"trainer": {"model": "m1"}}',
        "steps": '["examples", "trainer", "evaluator", "pusher"]',
    }
    history.begin("run-1", pipeline="digits", **first)
    data = {"input_fingerprint": "split:train,num_files:2,total_bytes:7"}
    (examples,) = history.step("run-1", "examples", {"examples": ("Examples", data)}, input_base="/data")
    _train(history, "run-1", examples, 1, epochs=5, accuracy=0.96)
    second = first | {"config_digest": "c2", "config": '{"vars": {"epochs": 8}}', "tfx_version": "1.22.0", "dirty": 1}
    history.begin("run-2", pipeline="digits", **(second | {"code": '{"trainer": {"model": "m2"}}'}))
    history.step("run-2", "examples", {"examples": examples}, state="CACHED", input_base="/data")
    _train(history, "run-2", examples, 2, epochs=8, accuracy=0.97)
    return history


def _train(history: History, run: str, examples: int, version: int, *, epochs: int, accuracy: float) -> None:
    config = f'{{"epochs": {epochs}, "hparams": {{"units": 64}}}}'
    facts = {"val_accuracy": accuracy, "train_rows": 1437, "wall_seconds": 2.5}
    trainer = "penstock.components.trainer.component.Trainer"
    (model,) = history.step(
        run, "trainer", {"model": ("Model", facts)}, {"examples": [examples]}, component=trainer, config=config
    )
    evaluator = "tfx.components.evaluator.component.Evaluator"
    outputs = {"evaluation": ("ModelEvaluation", {}), "blessing": ("ModelBlessing", {"blessed": 1})}
    inputs = {"model": [model], "examples": [examples]}
    found = {"metrics": METRICS.replace("0.96", str(accuracy)), "reason": "every threshold is met"}
    _, blessing = history.step(run, "evaluator", outputs, inputs, component=evaluator, **found)
    told = {"pushed": 1, "model_name": "digits", "pushed_version": str(version), "pushed_destination": f"/s/{version}"}
    inputs = {"model": [model], "model_blessing": [blessing]}
    history.step(run, "pusher", {"pushed_model": ("PushedModel", told)}, inputs)
