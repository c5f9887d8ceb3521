"""Rules about what the Trainer reads."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.pipelines.checks.csv_faults import is_number
from penstock.pipelines.checks.data import column_is_there, first_values
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.config.words import quoted
from penstock.pipelines.graph import Graph


def trainer_label_is_in_the_data(graph: Graph, document: Document) -> Iterator[Problem]:
    """Without a Transform in between, the label is a column of the CSV files."""
    for step in graph.of_type("Trainer"):
        label = getattr(step.config, "label", None)
        if label is None or step.inputs.get("transform_graph"):
            continue
        yield from column_is_there(graph, document, step, ("steps", step.name, "with", "label"), label)


def trainer_label_is_a_number(graph: Graph, document: Document) -> Iterator[Problem]:
    """Without a Transform in between, the label is what the CSV files hold, and a loss needs a number."""
    for step in graph.of_type("Trainer"):
        label = getattr(step.config, "label", None)
        if label is None or step.inputs.get("transform_graph"):
            continue
        texts = [value for value in first_values(graph, step, label) if value and not is_number(value)]
        if texts:
            yield document.problem(
                ("steps", step.name, "with", "label"),
                f"label '{label}' is text, and a loss needs a number",
                received=f"{quoted(texts[0])} in the first row",
                expected="a class as 0, 1, 2 …, or a value",
                hint="number it in the files, where an Evaluator finds it too, or in a Transform step",
            )


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
