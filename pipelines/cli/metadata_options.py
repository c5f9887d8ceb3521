"""Options of the subcommands that ask ML Metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, its beginning, latest, or latest~1 for the one before it.")
]
In = Annotated[
    list[Path] | None,
    typer.Option(
        "--in", metavar="WHERE", help="A pipeline file, a root, or a metadata.sqlite; those below here when not given."
    ),
]
Pipeline = Annotated[
    str | None, typer.Option("--pipeline", metavar="NAME", help="Only this pipeline, where a store has several.")
]
STANDARD_OUTPUT = Path("-")
"""What stands for it where a file may be named."""
