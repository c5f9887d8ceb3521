"""``penstock init``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.pipelines.cli.options import example


@example("penstock init flowers && penstock run flowers/pipeline.yaml")
def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder to make; it must be empty or not there.")
    ],
) -> None:
    """Make a small project that runs as it stands: pipeline.yaml, model.py, data, a test and a README."""
    from penstock.pipelines.project import create

    files = create(directory)
    typer.echo(f"Made {directory} with {', '.join(files)}.")
    typer.echo(f"Run it:  penstock run {directory / 'pipeline.yaml'}")
