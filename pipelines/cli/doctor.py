"""``penstock doctor``."""

from __future__ import annotations

import typer

from penstock.pipelines.cli.options import Json, example, print_json

_MARKS = {"ok": "✓", "warning": "!", "error": "✗"}


@example("penstock doctor --json")
def doctor(*, json: Json = False) -> None:
    """Check the machine and the installed packages; each finding comes with its remedy. Exit code 1 on an error."""
    from penstock.pipelines.doctor import examine

    findings = examine()
    if json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings:
            typer.echo(f"{_MARKS[finding.level]} {finding.check}: {finding.message}")
            if finding.remedy:
                typer.echo(f"    {finding.remedy}")
    if any(finding.level == "error" for finding in findings):
        raise typer.Exit(1)
