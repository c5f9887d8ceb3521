"""Reads a run's results. Runs in a worker: reading metrics and asking the model needs TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from penstock.metadata import Artifact, Store
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.predictions import Predictions, read_predictions
from penstock.pipelines.summary.evaluation import Evaluation, read_evaluation
from penstock.pipelines.summary.flatbuffers import Flatbuffers, read_flatbuffers
from penstock.pipelines.summary.samples import Samples, ask


@dataclass(frozen=True)
class Push:
    """What a Pusher did; ``there`` tells whether what it pushed is still in its place.

    ``modes`` are those of flatbuffers, None where a SavedModel was pushed.
    """

    step: str
    pushed: bool
    reason: str
    version: str | None
    path: str | None
    there: bool
    modes: str | None = None


@dataclass(frozen=True)
class Summary:
    """What a run achieved; empty parts are parts that the pipeline does not have."""

    evaluations: list[Evaluation] = field(default_factory=list)
    flatbuffers: list[Flatbuffers] = field(default_factory=list)
    pushes: list[Push] = field(default_factory=list)
    predictions: list[Predictions] = field(default_factory=list)
    samples: Samples | None = None
    anomalies: dict[str, list[str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as JSON data."""
        return asdict(self)


def summarize(graph: Graph, run_id: str) -> Summary:
    """Collect what ``run_id`` achieved.

    Args:
        graph: The pipeline.
        run_id: One of its runs. Steps that gave nothing in it are left out.
    """
    store = Store(graph.location, graph.name)
    outputs = {name: store.outputs(run_id, name) for name in graph.steps}
    pushes = [
        _push(step.name, artifact)
        for step, key in graph.giving("PushedModel")
        if step.type.name != "Resolver"
        for artifact in outputs[step.name].get(key, [])
    ]
    evaluations = [
        read_evaluation(step.name, outputs[step.name])
        for step in graph.of_type("Evaluator")
        if "evaluation" in outputs[step.name]
    ]
    flatbuffers = [
        read_flatbuffers(step.name, outputs[step.name][key])
        for step, key in graph.giving("TFLiteModel")
        if step.type.name != "Resolver" and outputs[step.name].get(key)
    ]
    return Summary(
        evaluations=evaluations,
        flatbuffers=flatbuffers,
        pushes=pushes,
        predictions=[
            read_predictions(step.name, artifact)
            for step in graph.of_type("BatchInference")
            for artifact in outputs[step.name].get("predictions", [])
        ],
        samples=_samples(graph, outputs, pushes),
        anomalies={
            f"{step.name} ({split})": found
            for step in graph.of_type("ExampleValidator")
            for split, found in _anomalies(outputs[step.name]).items()
        },
    )


def _push(step: str, artifact: Artifact) -> Push:
    """Read the properties that TFX's Pusher and ours write."""
    properties = artifact.properties
    path = properties.get("pushed_destination")
    version = properties.get("pushed_version")
    return Push(
        step=step,
        pushed=properties.get("pushed") == 1,
        reason=str(properties.get("reason", "")),
        version=str(version) if version is not None else None,
        path=str(path) if path is not None else None,
        there=path is not None and Path(str(path)).is_dir(),
        modes=str(properties["modes"]) if "modes" in properties else None,
    )


def _samples(graph: Graph, outputs: Mapping[str, Mapping[str, list[Artifact]]], pushes: list[Push]) -> Samples | None:
    """Ask the pushed model about rows of the evaluation split."""
    label, step = _label(graph)
    pushed = [push.path for push in pushes if push.there and push.path and push.modes is None]
    if not pushed or step is None or label is None:
        return None
    for wire in step.inputs.get("examples", ()):
        for artifact in outputs[wire.step].get(wire.output, []):
            return ask(Path(pushed[0]), Path(artifact.uri), label)
    return None


def _label(graph: Graph) -> tuple[str | None, Step | None]:
    """Return the label's name in the raw examples and the step that reads it."""
    for step in graph.of_type("Evaluator"):
        specs = step.parameters.get("eval_config", {}).get("model_specs") or [{}]
        return specs[0].get("label_key"), step
    for step in graph.of_type("Trainer"):
        if not step.inputs.get("transform_graph"):  # Behind a Transform the raw label may have another name.
            return getattr(step.config, "label", None), step
    return None, None


def _anomalies(outputs: Mapping[str, list[Artifact]]) -> dict[str, list[str]]:
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    found = {}
    for artifact in outputs.get("anomalies", []):
        for file in sorted(Path(artifact.uri).glob("Split-*/SchemaDiff.pb")):
            message = anomalies_pb2.Anomalies.FromString(file.read_bytes())
            texts = [f"{name}: {info.description}" for name, info in sorted(message.anomaly_info.items())]
            found[file.parent.name.removeprefix("Split-")] = texts
    return found
