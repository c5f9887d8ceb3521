"""Rules about what the Pusher publishes, and what it asks a model before that."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.components.pusher.config import PusherConfig
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


def wired_inputs_are_pushed(graph: Graph, document: Document) -> Iterator[Problem]:
    """The destination decides whether the SavedModel or its flatbuffers are pushed; the other one would be ignored."""
    for step in graph.of_type("Pusher"):
        if not isinstance(step.config, PusherConfig):
            continue
        for name in sorted(step.inputs.keys() & {"model", "tflite_model"} & step.config.unused_inputs()):
            (needed,) = step.config.needed_inputs()
            yield document.problem(
                ("steps", step.name, "inputs", name),
                f"step '{step.name}' pushes '{needed}' to its destination, not '{name}'",
                key=True,
                received=str(step.inputs[name][0]),
                expected=f"a wire to '{needed}' alone",
                hint="destination: {directory: …} is for a SavedModel, {tflite_directory: …} for flatbuffers",
            )


def _raw(graph: Graph) -> Iterator[str]:
    return (f"{step.name}.{key}" for step, key in graph.giving("Examples") if key != "transformed_examples")
