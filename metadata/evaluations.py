"""Metrics and verdicts of a model, as the runner and the Trainer recorded them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from penstock.metadata import vocabulary
from penstock.metadata.records import Artifact, Execution, Value

OVERALL = "overall"
"""The slice of all rows."""
_COUNTS = frozenset({"example_count", "weighted_example_count"})
_FIGURES = frozenset({"wall_seconds", "examples_per_second"})
"""Numbers of a model that are no metrics."""


def metrics_by_slice(properties: Mapping[str, Value]) -> dict[str, dict[str, float]]:
    """Return slice → metric → value of an Evaluator's execution; empty where nothing was recorded."""
    try:
        found = json.loads(str(properties.get(vocabulary.METRICS, "{}")))
    except ValueError:
        return {}
    slices = found.items() if isinstance(found, dict) else ()
    return {str(name): {str(key): float(value) for key, value in values.items()} for name, values in slices}


def training_metrics(model: Mapping[str, Value]) -> dict[str, float]:
    """Return the metrics of a training among the properties of its model."""
    return {name: float(value) for name, value in model.items() if isinstance(value, float) and name not in _FIGURES}


def metric_of(artifacts: Sequence[Artifact], makers: Mapping[int, Execution]) -> tuple[str, float] | None:
    """Return the metric by which a run is told from another: the Evaluator's first, else the training's; or None.

    Args:
        artifacts: What the run gave.
        makers: Artifact → the execution that made it, for the evaluations among them.
    """
    for artifact in artifacts:
        if artifact.type == "ModelEvaluation" and artifact.id in makers:
            overall = metrics_by_slice(makers[artifact.id].properties).get(OVERALL, {})
            found = [(name, value) for name, value in overall.items() if name not in _COUNTS]
            if found:
                return found[0]
    for artifact in artifacts:
        if artifact.type == "Model":
            metrics = training_metrics(artifact.properties)
            chosen = sorted(metrics, key=lambda name: (not name.startswith("val_"), "loss" in name, name))
            if chosen:
                return chosen[0], metrics[chosen[0]]
    return None
