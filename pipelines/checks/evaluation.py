"""Rules about an Evaluator's ``eval_config``. Its fields and types were checked before; these read across them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from penstock.closest import did_you_mean
from penstock.pipelines.checks.data import column_is_there
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph, Step

Path = tuple[str | int, ...]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def metric_classes_exist(graph: Graph, document: Document) -> Iterator[Problem]:
    """A metric without a ``module`` is one of TFMA's or Keras's."""
    for step in graph.of_type("Evaluator"):
        for path, metric in _metrics(step):
            name = metric.get("class_name")
            if isinstance(name, str) and not metric.get("module") and name not in _known_metrics():
                yield document.problem(
                    (*path, "class_name"),
                    f"no metric '{name}' in TFMA or Keras",
                    expected="the class name of a metric, or module: with your own",
                    hint=did_you_mean(name, _known_metrics()),
                )


def thresholds_have_metrics(graph: Graph, document: Document) -> Iterator[Problem]:
    """A threshold is set on a metric that the same ``metrics_specs`` entry computes."""
    for step in graph.of_type("Evaluator"):
        for path, spec in _metrics_specs(step):
            names = [_metric_name(metric) for _, metric in _items(path, spec, "metrics")]
            names = [name for name in names if name]
            for group in ("thresholds", "per_slice_thresholds", "cross_slice_thresholds"):
                for name in _mapping(spec.get(group)):
                    if not any(_is_called(name, computed) for computed in names):
                        yield document.problem(
                            (*path, group, name),
                            f"a threshold on '{name}', which is not computed",
                            key=True,
                            expected=f"one of {', '.join(names)}" if names else "a metric in this entry's metrics",
                            hint=did_you_mean(_snake_case(name), names)
                            or "add the metric to 'metrics', or take this out",
                        )


def change_thresholds_have_a_baseline(graph: Graph, document: Document) -> Iterator[Problem]:
    """A ``change_threshold`` compares with a baseline model, so there must be one."""
    for step in graph.of_type("Evaluator"):
        if step.inputs.get("baseline_model"):
            continue
        for path, metric in _metrics(step):
            if _mapping(metric.get("threshold")).get("change_threshold") is not None:
                yield document.problem(
                    (*path, "threshold", "change_threshold"),
                    "a change threshold without a baseline to compare with",
                    key=True,
                    hint="declare a step before: {component: Resolver, with: {strategy: latest_blessed}}",
                )


def label_keys_are_in_the_data(graph: Graph, document: Document) -> Iterator[Problem]:
    """The Evaluator reads raw examples: its label is a column of the CSV files that they come from."""
    for step in graph.of_type("Evaluator"):
        config = _mapping(step.parameters.get("eval_config"))
        for path, spec in _items(("steps", step.name, "with", "eval_config"), config, "model_specs"):
            label = spec.get("label_key")
            if isinstance(label, str):
                yield from column_is_there(graph, document, step, (*path, "label_key"), label)


@cache
def _known_metrics() -> frozenset[str]:
    text = (files("penstock.pipelines.catalog") / "metrics.json").read_text(encoding="utf-8")
    return frozenset(json.loads(text))


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _items(path: Path, owner: dict[str, Any], key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    items = owner.get(key)
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield (*path, key, index), item


def _metrics_specs(step: Step) -> Iterator[tuple[Path, dict[str, Any]]]:
    config = _mapping(step.parameters.get("eval_config"))
    return _items(("steps", step.name, "with", "eval_config"), config, "metrics_specs")


def _metrics(step: Step) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path, spec in _metrics_specs(step):
        yield from _items(path, spec, "metrics")


def _metric_name(metric: dict[str, Any]) -> str:
    """Return the name under which TFMA reports a metric: its own, else the class name in snake case."""
    config = metric.get("config")
    if isinstance(config, str):
        try:
            config = json.loads(config if config.lstrip().startswith("{") else f"{{{config}}}")
        except ValueError:
            config = {}
    name, class_name = _mapping(config).get("name"), metric.get("class_name")
    if isinstance(name, str) and name:
        return name
    return _snake_case(class_name) if isinstance(class_name, str) else ""


def _is_called(name: str, computed: str) -> bool:
    """Whether TFMA finds the metric by ``name``; where the underscores of a class's name fall is not certain."""
    return name == computed or (name.islower() and name.replace("_", "") == computed.replace("_", ""))


def _snake_case(name: str) -> str:
    return _WORD_START.sub("_", name).lower()
