"""Options that the subcommands about runs on a cluster share."""

from __future__ import annotations

from typing import Annotated

import typer

Host = Annotated[
    str,
    typer.Option("--host", metavar="URL", help="Kubeflow Pipelines, as in a browser, or vertex://PROJECT/REGION."),
]
TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="NAME", help="The environment variable that holds a token for the server."),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", metavar="NAME", help="Your namespace, on a server for several users.")
]
