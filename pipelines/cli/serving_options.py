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
Where = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="WHERE",
        help="Pipeline files, models.config files, base paths or folders; the working directory when not given.",
        show_default=False,
    ),
]
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

Host = Annotated[str, typer.Option(help="Address to bind; the official server binds them all.")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of gRPC; 0 takes a free one.")]
RestPort = Annotated[int, typer.Option(min=0, max=65535, help="Port of REST; 0 takes a free one.")]
Batching = Annotated[
    bool,
    typer.Option(
        "--batching",
        help="Put requests of several callers together; models that bring a batching_params.pbtxt say how.",
    ),
]
PrintCommand = Annotated[
    bool, typer.Option("--print-command", help="Print the commands that start the official server and image; end.")
]
PrintManifests = Annotated[
    bool,
    typer.Option(
        "--print-manifests",
        help="Print what lets Kubernetes serve the models, as YAML; end. Choose one --variant to apply.",
    ),
]


@contextmanager
def told_plainly(*, json: bool) -> Iterator[None]:
    """Turn what a model server refuses into one of our errors, and print errors as JSON where that was asked for."""
    from penstock.serving.errors import ServingError

    with errors_as_json(enabled=json):
        try:
            yield
        except ServingError as error:
            raise PenstockError(f"the server refused: {error.message}", received=error.code.name) from error
