"""``penstock validate``."""

from __future__ import annotations

import typer

from penstock.pipelines.cli.checked import checked
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json


@example("penstock validate configs/digits.yaml --set vars.epochs=2")
def validate(file: File, *, set_: Set = None, json: Json = False) -> None:
    """Check everything about a pipeline that can be checked without TensorFlow, in under half a second."""
    with errors_as_json(enabled=json):
        _, graph = checked(file, set_)
    opened = [step.name for step in graph.steps.values() if step.type.open]
    if json:
        print_json({"valid": True, "pipeline": graph.name, "steps": list(graph.steps), "open": opened})
        return
    steps = "1 step" if len(graph.steps) == 1 else f"{len(graph.steps)} steps"
    typer.echo(f"{file}: {graph.name} is valid, {steps}: {' → '.join(graph.steps)}")
    if opened:
        typer.echo(f"Not looked into, as that means importing them: {', '.join(opened)}. 'penstock plan' does.")
