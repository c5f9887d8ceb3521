"""Arguments and options that several subcommands share."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from penstock.errors import EnvironmentProblem, PenstockError

# Whether it can be read is for the loader to say, in its own words and as JSON too.
File = Annotated[
    Path, typer.Argument(metavar="FILE", help="The pipeline's YAML file.", show_default=False, readable=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value of the config; may be given several times."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_Command = TypeVar("_Command", bound=Callable[..., None])


def example(text: str) -> Callable[[_Command], _Command]:
    """Give a subcommand the example that its ``--help`` ends with."""

    def mark(command: _Command) -> _Command:
        command.example = f"Example: {text}"  # type: ignore[attr-defined]
        return command

    return mark


def print_json(data: Any) -> None:
    """Print ``data`` as indented JSON."""
    typer.echo(json.dumps(data, indent=2, default=str))


@contextmanager
def errors_as_json(*, enabled: bool) -> Iterator[None]:
    """Print an error as JSON on standard output too, so that a caller that asked for JSON always gets it."""
    try:
        yield
    except (PenstockError, OSError) as error:
        if not enabled or isinstance(error, BrokenPipeError):
            raise
        told = problem(error) if isinstance(error, OSError) else error
        print_json({"error": told.to_dict()})
        raise typer.Exit(told.exit_code) from error


def problem(error: OSError) -> EnvironmentProblem:
    """Return what the system refused as an error of ours."""
    file = error.filename
    return EnvironmentProblem(
        f"reading or writing failed: {error.strerror or type(error).__name__}",
        where=None if file is None else os.fsdecode(file) if isinstance(file, str | bytes) else str(file),
        hint="check free space and permissions, then run again",
    )
