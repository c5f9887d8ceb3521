"""``penstock image``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.pipelines.cli.options import example

if TYPE_CHECKING:
    from penstock.pipelines.image.stage import Image


@example("penstock image pipeline.yaml --tag registry.example.com/team/flowers:1.0")
def image(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A pipeline's YAML file, or a project's folder; the working directory when not given.",
            show_default=False,
        ),
    ] = None,
    *,
    tag: Annotated[
        str | None,
        typer.Option(metavar="NAME:VERSION", help="The image's name; the config's kubeflow.image, or the project's."),
    ] = None,
    requirements: Annotated[
        Path | None,
        typer.Option(metavar="FILE.txt", help="What the project's own code needs besides, for pip.", readable=False),
    ] = None,
    print_: Annotated[
        bool, typer.Option("--print", help="Print the command that builds the image, and nothing else.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the Dockerfile, and nothing else.")] = False,
) -> None:
    """Write a Dockerfile for the project: an image for Kubeflow's steps, training jobs and Beam's workers."""
    from penstock.pipelines.image.command import build_command, checked_tag
    from penstock.pipelines.image.stage import stage

    project, named = _project(file or Path.cwd())
    made = stage(project, checked_tag(tag or named or _default_tag(project)), requirements)
    if show:
        typer.echo(made.dockerfile.read_text(encoding="utf-8"), nl=False)
    elif print_:
        typer.echo(build_command(made))
    else:
        _tell(made, build_command(made))


def _tell(made: Image, command: str) -> None:
    verb = "Wrote" if made.made else "Penstock's own:"
    typer.echo(f"{verb} {made.dockerfile}")
    typer.echo(f"Build it:  {command}")
    typer.echo(f"Push it:   docker push {made.tag}")


def _project(place: Path) -> tuple[Path, str | None]:
    """Return the project's folder, and the image that the pipeline's file names."""
    from penstock.errors import ConfigError
    from penstock.pipelines.config.files import project_of

    if place.is_dir():
        return project_of(place.absolute() / "pipeline.yaml"), None
    if not place.is_file():
        raise ConfigError("there is no such file or folder", where=str(place))
    from penstock.pipelines.cli.checked import checked
    from penstock.pipelines.image.context import require_modules

    loaded, graph = checked(place, None)
    require_modules(graph.project, [name for step in graph.steps.values() for name in step.functions])
    named = loaded.document.value(("kubeflow", "image"))
    return graph.project, named if isinstance(named, str) else None


def _default_tag(project: Path) -> str:
    from penstock.pipelines.image.stage import is_own_checkout
    from penstock.version import __version__

    if is_own_checkout(project):
        return f"penstock:{__version__}"
    name = re.sub("[^a-z0-9]+", "-", project.name.lower()).strip("-")
    return f"{name or 'project'}:{__version__}"
