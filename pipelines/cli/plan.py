"""``penstock plan``."""

from __future__ import annotations

from pathlib import Path

import typer

from penstock.pipelines.cli.checked import checked, refuse_remote_root
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json


@example("penstock plan configs/digits.yaml --set vars.epochs=8")
def plan(file: File, *, set_: Set = None, json: Json = False) -> None:
    """Show the steps in order, with their wires, and which would run or be cached, and why. Changes nothing."""
    import tempfile

    from penstock.pipelines.plan import PlannedStep
    from penstock.pipelines.plan import plan as make_plan
    from penstock.pipelines.runners.workers import Workers

    with errors_as_json(enabled=json):
        loaded, _ = checked(file, set_)
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
