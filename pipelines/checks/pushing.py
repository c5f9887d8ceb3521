"""Rules about what the Pusher asks a model before it publishes it."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph


def warm_up_has_raw_rows(graph: Graph, document: Document) -> Iterator[Problem]:
    """A served model is asked with raw rows; without any, the step would fail after the training."""
    for step in graph.of_type("Pusher"):
        if getattr(step.config, "warmup", None) is None:
            continue
        wires = step.inputs.get("examples", ())
        raw = list(_raw(graph))
        if not wires:
            yield document.problem(
                ("steps", step.name, "with", "warmup"),
                f"step '{step.name}' makes warm-up requests of rows, and nothing feeds its input 'examples'",
                key=True,
                expected=f"one of {', '.join(raw)}" if raw else "a step that gives Examples",
                hint=f"write inputs: {{examples: {raw[0] if raw else 'step.output'}}}, or leave warmup out",
            )
        for wire in wires:
            if wire.output == "transformed_examples":
                yield document.problem(
                    ("steps", step.name, "inputs", "examples"),
                    f"'examples' of step '{step.name}' takes raw examples, and {wire} is transformed",
                    expected=f"one of {', '.join(raw)}" if raw else "raw examples",
                )


def _raw(graph: Graph) -> Iterator[str]:
    return (f"{step.name}.{key}" for step, key in graph.giving("Examples") if key != "transformed_examples")
