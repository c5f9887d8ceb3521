"""Arguments of the subcommands about served models, and how a server's refusal is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import PenstockError
from penstock.pipelines.cli.options import errors_as_json

Name = Annotated[str, typer.Argument(metavar="NAME", help="The model's name.", show_default=False)]
In = Annotated[
    list[Path] | None,
    typer.Option(
        "--in",
        metavar="WHERE",
        help="A pipeline file, models.config, base path or folder; the working directory when not given.",
    ),
]
Grpc = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The server's gRPC address; the one that 'penstock serve' recorded if any."),
]
Label = Annotated[str, typer.Option("--label", metavar="LABEL", help="The label to move.")]
Seconds = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the server.")]


@contextmanager
def told_plainly(*, json: bool) -> Iterator[None]:
    """Turn what a model server refuses into one of our errors, and print errors as JSON where that was asked for."""
    from penstock.serving.errors import ServingError

    with errors_as_json(enabled=json):
        try:
            yield
        except ServingError as error:
            raise PenstockError(f"the server refused: {error.message}", received=error.code.name) from error
