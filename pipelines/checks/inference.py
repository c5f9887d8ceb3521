"""Rules about which model scores which rows."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph, Step


def inference_has_a_model_and_rows(graph: Graph, document: Document) -> Iterator[Problem]:
    """Both may come from several places; where neither is said, the step would fail after the training."""
    for step in graph.of_type("BatchInference"):
        config = step.config
        if not isinstance(config, BatchInferenceConfig):
            continue
        models = _outputs(graph, "Model", "PushedModel")
        if config.remote is None and not (step.inputs.get("model") or step.inputs.get("pushed_model")):
            yield _nothing_feeds(document, step, "model", models, "or mode: {remote: {grpc: host:8500, model: name}}")
        if config.input.files is None and not step.inputs.get("examples"):
            rows = [found for found in _outputs(graph, "Examples") if not found.endswith(".transformed_examples")]
            yield _nothing_feeds(document, step, "examples", rows, "or with: {input: {files: 'data/*.csv'}}")


def inference_reads_raw_rows(graph: Graph, document: Document) -> Iterator[Problem]:
    """A served model transforms its rows itself: transformed ones would be transformed twice, or refused."""
    for step in graph.of_type("BatchInference"):
        for wire in step.inputs.get("examples", ()):
            if wire.output == "transformed_examples":
                yield document.problem(
                    ("steps", step.name, "inputs", "examples"),
                    f"'examples' of step '{step.name}' takes raw examples, and {wire} is transformed",
                    expected="raw examples: the served model transforms them itself",
                )


def _nothing_feeds(document: Document, step: Step, port: str, fitting: list[str], other: str) -> Problem:
    return document.problem(
        ("steps", step.name),
        f"nothing feeds input '{port}' of step '{step.name}' (BatchInference)",
        key=True,
        expected=f"one of {', '.join(fitting)}, {other}" if fitting else f"a step that gives it, {other}",
        hint=f"write inputs: {{{port}: {fitting[0]}}}" if fitting and port == "examples" else None,
    )


def _outputs(graph: Graph, *types: str) -> list[str]:
    return [f"{step.name}.{key}" for kind in types for step, key in graph.giving(kind)]
