"""``penstock validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from penstock.errors import EnvironmentProblem
from penstock.pipelines.cli.checked import checked
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json

if TYPE_CHECKING:
    from penstock.pipelines.graph import Graph


@example("penstock validate configs/digits.yaml --set vars.epochs=2")
def validate(file: File, *, set_: Set = None, json: Json = False) -> None:
    """Check everything about a pipeline that can be checked without TensorFlow, in under half a second."""
    with errors_as_json(enabled=json):
        _, graph = checked(file, set_)
    notes = _notes(graph)
    opened = [step.name for step in graph.steps.values() if step.type.open]
    if json:
        print_json({"valid": True, "pipeline": graph.name, "steps": list(graph.steps), "open": opened, "notes": notes})
        return
    steps = "1 step" if len(graph.steps) == 1 else f"{len(graph.steps)} steps"
    typer.echo(f"{file}: {graph.name} is valid, {steps}: {' → '.join(graph.steps)}")
    if opened:
        typer.echo(f"Not looked into, as that means importing them: {', '.join(opened)}. 'penstock plan' does.")
    for note in notes:
        typer.echo(note)


def _notes(graph: Graph) -> list[str]:
    """Return what a run on this machine lacks; the file may be meant for another one, so that is no mistake of it."""
    from penstock.pipelines.engines.start import require_java

    if not any(step.type.beam for step in graph.steps.values()):
        return []
    try:
        require_java(graph.beam)
    except EnvironmentProblem as problem:
        received = f" ({problem.received})" if problem.received else ""
        return [f"It cannot run here yet: {problem.what}{received}. Next: {problem.hint}."]
    return []
