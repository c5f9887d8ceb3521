"""Rules about what the Trainer reads."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.pipelines.checks.data import column_is_there
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph


def trainer_label_is_in_the_data(graph: Graph, document: Document) -> Iterator[Problem]:
    """Without a Transform in between, the label is a column of the CSV files."""
    for step in graph.of_type("Trainer"):
        label = getattr(step.config, "label", None)
        if label is None or step.inputs.get("transform_graph"):
            continue
        yield from column_is_there(graph, document, step, ("steps", step.name, "with", "label"), label)


def raw_examples_go_to_examples(graph: Graph, document: Document) -> Iterator[Problem]:
    """Our Trainer takes raw and transformed examples by different inputs: it serves and checks with the raw ones."""
    for step in graph.of_type("Trainer"):
        for wire in step.inputs.get("examples", ()):
            if wire.output == "transformed_examples":
                yield document.problem(
                    ("steps", step.name, "inputs", "examples"),
                    f"'examples' of step '{step.name}' takes raw examples, and {wire} is transformed",
                    hint=f"write inputs: {{transformed_examples: {wire}}}, or leave the wire out",
                )
