"""Options that the subcommands about runs on a cluster share."""

from __future__ import annotations

from typing import Annotated

import typer

_HOST = typer.Option("--host", metavar="URL", help="Kubeflow Pipelines, as in a browser, or vertex://PROJECT/REGION.")
Host = Annotated[str, _HOST]
OptionalHost = Annotated[str | None, _HOST]
TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="NAME", help="The environment variable that holds a token for the server."),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Your namespace, on a server for several users.")
]
