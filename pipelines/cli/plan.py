"""``penstock plan``."""

from __future__ import annotations

import tempfile
from pathlib import Path

import typer

from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json, refuse_remote_root


@example("penstock plan configs/digits.yaml --set vars.epochs=8")
def plan(file: File, *, set_: Set = None, json: Json = False) -> None:
    """Show the steps in order, with their wires, and which would run or be cached, and why. Changes nothing."""
    from penstock.pipelines.plan import PlannedStep
    from penstock.pipelines.plan import plan as make_plan
    from penstock.pipelines.resolve import check
    from penstock.pipelines.runners.workers import Workers

    with errors_as_json(enabled=json):
        loaded, _ = check(file, set_ or ())
        refuse_remote_root(loaded)
        with tempfile.TemporaryDirectory(prefix="penstock-plan-") as logs:
            workers = Workers(loaded.document.project, Path(logs) / "imports.log")
            steps: list[PlannedStep] = workers.run(make_plan, loaded, log=Path(logs) / "plan.log")
    if json:
        print_json([step.to_dict() for step in steps])
        return
    for number, step in enumerate(steps, start=1):
        verdict = "cached" if step.cached else "would run"
        typer.echo(f"{number:>2}. {step.name} ({step.component}): {verdict}: {step.reason}")
        for name, sources in step.wires.items():
            typer.echo(f"      {name} ← {', '.join(sources)}")
