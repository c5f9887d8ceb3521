"""A metadata store with a long history: complete runs of a pipeline like digits, written in a few large calls.

Types, contexts, events and properties are what a run of ``configs/digits.yaml`` leaves. There are no files behind the
artifacts and no contexts of TFX's cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

PIPELINE = "digits"
_BATCH_RUNS = 50
"""Runs of one call: larger ones save nothing, and need memory."""
_BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class SeedStep:
    """One step of the pipeline.

    Attributes:
        name: Its name.
        component: Its component's type in ML Metadata.
        inputs: Input name → the step and its output that feed it.
        outputs: Output name → type of the artifact.
        parameters: Its execution's properties.
        facts: Output name → the artifact's properties.
    """

    name: str
    component: str
    inputs: dict[str, tuple[str, str]]
    outputs: dict[str, str]
    parameters: dict[str, str] = field(default_factory=dict)
    facts: dict[str, dict[str, str | int | float]] = field(default_factory=dict)


_EXAMPLES = ("examples", "examples")
_MODEL = ("trainer", "model")
_TFX = "tfx.components"
_OURS = "penstock.components"
_COMMIT = "6b0c1d8f2a7e4935"
STEPS = (
    SeedStep(
        "examples",
        f"{_TFX}.example_gen.import_example_gen.component.ImportExampleGen",
        {},
        {"examples": "Examples"},
        {"input_base": "/data/digits"},
        {"examples": {"input_fingerprint": "split:train,num_files:2\nsplit:eval,num_files:1", "span": 0}},
    ),
    SeedStep(
        "statistics",
        f"{_TFX}.statistics_gen.component.StatisticsGen",
        {"examples": _EXAMPLES},
        {"statistics": "ExampleStatistics"},
    ),
    SeedStep(
        "schema",
        f"{_TFX}.schema_gen.component.SchemaGen",
        {"statistics": ("statistics", "statistics")},
        {"schema": "Schema"},
    ),
    SeedStep(
        "validator",
        f"{_TFX}.example_validator.component.ExampleValidator",
        {"statistics": ("statistics", "statistics"), "schema": ("schema", "schema")},
        {"anomalies": "ExampleAnomalies"},
    ),
    SeedStep(
        "transform",
        f"{_TFX}.transform.component.Transform",
        {"examples": _EXAMPLES, "schema": ("schema", "schema")},
        {
            "transform_graph": "TransformGraph",
            "transformed_examples": "Examples",
            "updated_analyzer_cache": "TransformCache",
            "pre_transform_schema": "Schema",
            "pre_transform_stats": "ExampleStatistics",
            "post_transform_schema": "Schema",
            "post_transform_stats": "ExampleStatistics",
            "post_transform_anomalies": "ExampleAnomalies",
        },
        {"preprocessing_fn": "examples.digits.preprocessing.preprocessing_fn", "user_code": "4799d3cc1899bf3b"},
    ),
    SeedStep(
        "trainer",
        f"{_OURS}.trainer.component.Trainer",
        {
            "examples": _EXAMPLES,
            "transformed_examples": ("transform", "transformed_examples"),
            "transform_graph": ("transform", "transform_graph"),
            "schema": ("schema", "schema"),
        },
        {"model": "Model", "model_run": "ModelRun"},
        {"config": '{"model_fn": "examples.digits.model.build_model", "epochs": 5}', "user_code": "06c44cb37d7fc672"},
        {
            "model": {
                "strategy": "default",
                "hparams": '{"learning_rate": 0.006, "units": 64}',
                "commit": _COMMIT,
                "dirty": 0,
                "val_accuracy": 0.96,
                "val_loss": 0.1,
                "steps": 115,
                "tensorflow_version": "2.21.0",
            }
        },
    ),
    SeedStep(
        "evaluator",
        f"{_TFX}.evaluator.component.Evaluator",
        {"model": _MODEL, "examples": _EXAMPLES, "schema": ("schema", "schema")},
        {"evaluation": "ModelEvaluation", "blessing": "ModelBlessing"},
        {"example_splits": '["eval"]'},
        {"blessing": {"blessed": 1}},
    ),
    SeedStep(
        "pusher",
        f"{_OURS}.pusher.component.Pusher",
        {"model": _MODEL, "model_blessing": ("evaluator", "blessing"), "examples": _EXAMPLES},
        {"pushed_model": "PushedModel"},
        {"config": '{"model_name": "digits"}'},
        {"pushed_model": {"pushed": 1, "model_name": "digits", "reason": "blessed by the Evaluator"}},
    ),
    SeedStep(
        "predictions",
        f"{_OURS}.batch_inference.component.BatchInference",
        {"model": _MODEL, "model_blessing": ("evaluator", "blessing"), "examples": _EXAMPLES},
        {"predictions": "InferenceResult"},
        {"config": '{"signature": "serving_default"}'},
        {"predictions": {"scored": 1, "rows": 360}},
    ),
)


@dataclass(frozen=True)
class Seeded:
    """What was written.

    Attributes:
        sqlite: The store.
        pipeline: The pipeline's name.
        runs: The ids of the runs, oldest first.
        executions: A count.
        artifacts: A count.
    """

    sqlite: Path
    pipeline: str
    runs: tuple[str, ...]
    executions: int
    artifacts: int


def runs_for(artifacts: int) -> int:
    """Return how many runs give at least so many artifacts."""
    return -(-artifacts // sum(len(step.outputs) for step in STEPS))


def seed(
    sqlite: Path, runs: int, *, pipeline: str = PIPELINE, steps: tuple[SeedStep, ...] = STEPS, first: int = 0
) -> Seeded:
    """Write complete runs into a store, which is made when it is not there.

    Args:
        sqlite: The store's file.
        runs: How many.
        pipeline: Name of the pipeline.
        steps: Its steps, in order.
        first: Number of the first run, from 0: how many are there already.
    """
    writer = _Writer(sqlite, pipeline, steps)
    numbers = range(first, first + runs)
    ids = tuple(_run_id(number) for number in numbers)
    for start in range(0, runs, _BATCH_RUNS):
        writer.write(numbers[start : start + _BATCH_RUNS])
    return Seeded(sqlite, pipeline, ids, runs * len(steps), runs * sum(len(step.outputs) for step in steps))


def _run_id(number: int) -> str:
    return (_BEGINNING + timedelta(minutes=10 * number)).strftime("%Y%m%d-%H%M%S-%f")[:-3]


class _Writer:
    def __init__(self, sqlite: Path, pipeline: str, steps: tuple[SeedStep, ...]) -> None:
        from ml_metadata.metadata_store import metadata_store
        from ml_metadata.proto import metadata_store_pb2 as pb

        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(sqlite)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self._pb = pb
        self._store = metadata_store.MetadataStore(config)
        self._pipeline = pipeline
        self._steps = steps
        put = self._store.put_execution_type
        self._executions = {step.name: put(pb.ExecutionType(name=step.component)) for step in steps}
        kinds = {kind for step in steps for kind in step.outputs.values()}
        self._artifacts = {kind: self._store.put_artifact_type(pb.ArtifactType(name=kind)) for kind in kinds}
        names = ("pipeline", "pipeline_run", "node")
        self._contexts = {name: self._store.put_context_type(pb.ContextType(name=name)) for name in names}

    def write(self, numbers: range) -> None:
        executions: list[Any] = []
        artifacts: list[Any] = []
        edges: list[Any] = []
        for number in numbers:
            made: dict[tuple[str, str], int] = {}
            for step in self._steps:
                place = len(executions)
                executions.append(self._execution(step))
                edges += [(place, made[source], self._event("INPUT", key)) for key, source in step.inputs.items()]
                for key, kind in step.outputs.items():
                    made[step.name, key] = len(artifacts)
                    edges.append((place, len(artifacts), self._event("OUTPUT", key)))
                    artifacts.append(self._artifact(step, key, kind, number))
        ids, _, _ = self._store.put_lineage_subgraph(executions, artifacts, [], edges)
        self._associate(numbers, ids)

    def _associate(self, numbers: range, executions: list[int]) -> None:
        """Put the executions into their contexts; TFX puts the artifacts there too, when it publishes them."""
        outputs = self._store.get_events_by_execution_ids(executions)
        of_execution: dict[int, list[int]] = {}
        for event in outputs:
            if event.type == self._pb.Event.OUTPUT:
                of_execution.setdefault(event.execution_id, []).append(event.artifact_id)
        contexts = self._context_ids(numbers)
        associations, attributions = [], []
        for place, execution in enumerate(executions):
            number, step = numbers[place // len(self._steps)], self._steps[place % len(self._steps)]
            names = (("pipeline", self._pipeline), ("pipeline_run", _run_id(number)), ("node", self._node(step)))
            for name in names:
                associations.append(self._pb.Association(execution_id=execution, context_id=contexts[name]))
                attributions += [
                    self._pb.Attribution(artifact_id=artifact, context_id=contexts[name])
                    for artifact in of_execution.get(execution, ())
                ]
        self._store.put_attributions_and_associations(attributions, associations)

    def _context_ids(self, numbers: range) -> dict[tuple[str, str], int]:
        names = [("pipeline", self._pipeline), *(("node", self._node(step)) for step in self._steps)]
        names += [("pipeline_run", _run_id(number)) for number in numbers]
        known = {name: self._store.get_context_by_type_and_name(*name) for name in names}
        names = [name for name in names if known[name] is None]
        new = [self._pb.Context(type_id=self._contexts[kind], name=name) for kind, name in names]
        ids = {name: context.id for name, context in known.items() if context is not None}
        return ids | dict(zip(names, self._store.put_contexts(new) if new else (), strict=True))

    def _node(self, step: SeedStep) -> str:
        return f"{self._pipeline}.{step.name}"

    def _execution(self, step: SeedStep) -> Any:
        execution = self._pb.Execution(
            type_id=self._executions[step.name], last_known_state=self._pb.Execution.COMPLETE
        )
        _set(execution, step.parameters)
        return execution

    def _artifact(self, step: SeedStep, key: str, kind: str, number: int) -> Any:
        uri = f"/runs/{self._pipeline}/{step.name}/{key}/{number}"
        artifact = self._pb.Artifact(type_id=self._artifacts[kind], uri=uri, state=self._pb.Artifact.LIVE)
        _set(artifact, dict(_facts(step, key, number)) | {"tfx_version": "1.21.0"})
        return artifact

    def _event(self, kind: str, key: str) -> Any:
        event = self._pb.Event(type=self._pb.Event.Type.Value(kind))
        event.path.steps.add().key = key
        event.path.steps.add().index = 0
        return event


def _facts(step: SeedStep, key: str, number: int) -> Iterator[tuple[str, str | int | float]]:
    yield from step.facts.get(key, {}).items()
    if key == "pushed_model":
        yield "version", number + 1
        yield "pushed_version", str(number + 1)
        yield "digest", f"{number + 1:064x}"
        yield "pushed_destination", f"/serving/digits/{number + 1}"
        yield "labels", f'{{"stable": {number + 1}}}'


def _set(owner: Any, facts: dict[str, str | int | float] | dict[str, str]) -> None:
    kinds = {str: "string_value", int: "int_value", float: "double_value"}
    for name, value in facts.items():
        setattr(owner.custom_properties[name], kinds[type(value)], value)
