"""The command line: subcommands, exit codes, and errors printed as one message."""

from __future__ import annotations

import sys
from typing import Annotated, NoReturn

import typer

from penstock.errors import PenstockError
from penstock.pipelines.cli import (
    compile,  # noqa: A004  The subcommand's name.
    convert,
    deploy,
    doctor,
    gc,
    image,
    infer,
    init,
    lineage,
    metadata,
    models,
    plan,
    report,
    request,
    run,
    runs,
    schema,
    serve,
    validate,
    why,
)
from penstock.pipelines.cli.options import problem
from penstock.version import __version__

app = typer.Typer(
    name="penstock",
    help="Declarative TFX pipelines: one YAML file, checked, built, run and tracked.",
    epilog="Exit codes: 0 all well, 1 a step failed, 2 the config or an argument is wrong, 130 interrupted. "
    "Example: penstock run configs/digits.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

for command in (
    init.init,
    validate.validate,
    plan.plan,
    why.why,
    run.run,
    compile.compile,
    deploy.deploy,
    image.image,
    convert.convert,
    infer.infer,
    serve.serve,
    request.request,
    lineage.lineage,
    report.report,
    gc.gc,
    doctor.doctor,
    schema.schema,
):
    app.command(epilog=getattr(command, "example", None))(command)
app.add_typer(models.app)
app.add_typer(runs.app)
app.add_typer(metadata.app)


def _version(value: bool) -> None:  # noqa: FBT001  Typer calls it with the option's value.
    if value:
        typer.echo(f"penstock {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; print an error as its message and end with its exit code."""
    try:
        app()
    except PenstockError as error:
        _end_with(error)
    except OSError as error:
        _end_with(problem(error))


def _end_with(error: PenstockError) -> NoReturn:
    typer.echo(str(error), err=True)
    sys.exit(error.exit_code)
