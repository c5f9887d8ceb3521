"""Options of ``penstock serve --print-manifests``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

_PANEL = "With --print-manifests"

Variant = Annotated[
    Literal["plain", "kserve", "both"],
    typer.Option(help="A Deployment, Service and autoscaler; or a KServe InferenceService.", rich_help_panel=_PANEL),
]
Bases = Annotated[
    list[str] | None,
    typer.Option(
        "--base",
        metavar="[NAME=]URI",
        help="Where the cluster finds a model's base path: gs://BUCKET/PATH or pvc://CLAIM/PATH.",
        rich_help_panel=_PANEL,
    ),
]
Image = Annotated[str, typer.Option(metavar="NAME:TAG", help="TensorFlow Serving's image.", rich_help_panel=_PANEL)]
Namespace = Annotated[str | None, typer.Option(help="Namespace of the objects; kubectl's.", rich_help_panel=_PANEL)]
ObjectName = Annotated[str | None, typer.Option("--name", help="Name of the objects.", rich_help_panel=_PANEL)]
Replicas = Annotated[int, typer.Option(min=1, help="Pods at least.", rich_help_panel=_PANEL)]
MaxReplicas = Annotated[int, typer.Option(min=1, help="Pods at most.", rich_help_panel=_PANEL)]
Cpu = Annotated[str, typer.Option(help="CPUs that each pod asks for.", rich_help_panel=_PANEL)]
Memory = Annotated[str, typer.Option(help="Memory of each pod.", rich_help_panel=_PANEL)]
ServiceAccount = Annotated[
    str | None, typer.Option(help="Service account of the pods, which may read the bucket.", rich_help_panel=_PANEL)
]
