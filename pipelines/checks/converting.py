"""Rules about what a TFLiteConverter needs beside its model."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph


def converter_knows_the_label(graph: Graph, document: Document) -> Iterator[Problem]:
    """A metric needs a label, and only our Trainer records its own with the model."""
    for step in graph.of_type("TFLiteConverter"):
        gate = getattr(step.config, "gate", None)
        if gate is None or gate.metric is None or getattr(step.config, "label", None):
            continue
        makers = {graph.steps[wire.step].type.name for wire in step.inputs.get("model", ())}
        if makers and makers.isdisjoint({"Trainer", "Resolver"}):
            yield document.problem(
                ("steps", step.name, "with", "gate", "metric"),
                f"step '{step.name}' measures {gate.metric}, and its model does not say which feature is the label",
                expected="label: the name of the label feature, beside `gate`",
            )


def converter_reads_raw_rows(graph: Graph, document: Document) -> Iterator[Problem]:
    """Signatures take raw features, or what the converter itself makes of them by the transform graph."""
    for step in graph.of_type("TFLiteConverter"):
        for wire in step.inputs.get("examples", ()):
            if wire.output == "transformed_examples":
                yield document.problem(
                    ("steps", step.name, "inputs", "examples"),
                    f"'examples' of step '{step.name}' takes raw examples, and {wire} is transformed",
                    hint="leave the wire out; for a signature of transformed features set features: transformed",
                )
