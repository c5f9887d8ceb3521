"""``penstock models``: what was pushed, which label points where, and how to move it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ArtifactError, ConfigError
from penstock.pipelines.cli.options import Json, example, print_json
from penstock.pipelines.cli.serving_options import Grpc, In, Label, Name, Seconds, told_plainly

if TYPE_CHECKING:
    from penstock.pipelines.models.find import Model
    from penstock.pipelines.models.show import ModelFacts, Story

app = typer.Typer(
    name="models",
    help="List, describe, promote, roll back, verify and prune the models that were pushed.",
    epilog="Example: penstock models promote digits 2 --label stable",
    no_args_is_help=True,
)

_SHORT = 60
"""Characters of a parameter's value that a terminal shows."""


@example("penstock models list")
def list_models(
    where: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="WHERE",
            help="Pipeline files, models.config files, base paths or folders; the working directory when not given.",
            show_default=False,
        ),
    ] = None,
    *,
    json: Json = False,
) -> None:
    """List the models with their versions and labels."""
    from penstock.pipelines.models.find import find_models

    with told_plainly(json=json):
        found = [(model, list(model.versions()), model.served()) for model in find_models(where or ())]
    if json:
        print_json(
            [
                {
                    "name": model.name,
                    "base": model.base,
                    "config": model.config,
                    "versions": versions,
                    "labels": model.labels,
                    "asked_for": served,
                }
                for model, versions, served in found
            ]
        )
        return
    if not found:
        typer.echo("No pushed model was found below this folder.")
    for model, versions, _ in found:
        typer.echo(f"{model.name}  versions {', '.join(map(str, versions)) or 'none'}{_labelled(model)}  {model.base}")


@example("penstock models show digits/2")
def show(
    name: Annotated[str, typer.Argument(metavar="NAME[/VERSION]", help="The model, or one of its versions.")],
    *,
    in_: In = None,
    json: Json = False,
) -> None:
    """Tell where a model is served, and of a version: which data, config and commit it is from, and its metrics."""
    from penstock.pipelines.models.show import describe

    with told_plainly(json=json):
        model, version = _named(name, in_)
        facts = describe(model, version)
    if json:
        print_json(facts.to_dict())
    else:
        _show(facts, whole=version is not None)


@example("penstock models promote digits 2 --label stable")
def promote(  # noqa: PLR0913  One argument an option.
    name: Name,
    version: Annotated[int, typer.Argument(metavar="VERSION", help="The version that the label shall point to.")],
    *,
    label: Label = "stable",
    create: Annotated[bool, typer.Option("--create", help="Make the label when the model has others only.")] = False,
    grpc: Grpc = None,
    timeout: Seconds = 60.0,
    in_: In = None,
    json: Json = False,
) -> None:
    """Point a label to a version, once the server has it AVAILABLE; on failure all stays as it was."""
    from penstock.pipelines.models.move import check_label

    with told_plainly(json=json):
        model, _ = _named(name, in_)
        check_label(model, label, create=create)
        _move(model, version, label, kind="promote", grpc=grpc, timeout=timeout, json=json)


@example("penstock models rollback digits")
def rollback(  # noqa: PLR0913  One argument an option.
    name: Name,
    *,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="The version; the one before if not given.")
    ] = None,
    label: Label = "stable",
    grpc: Grpc = None,
    timeout: Seconds = 60.0,
    in_: In = None,
    json: Json = False,
) -> None:
    """Point a label to the version that it pointed to before."""
    from penstock.pipelines.models.move import check_label, version_to_go_back_to

    with told_plainly(json=json):
        model, _ = _named(name, in_)
        check_label(model, label, create=False)
        version = to if to is not None else version_to_go_back_to(model, label)
        _move(model, version, label, kind="rollback", grpc=grpc, timeout=timeout, json=json)


@example("penstock models verify digits")
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME[/VERSION]]", help="What to check; everything when not given.")
    ] = None,
    *,
    in_: In = None,
    json: Json = False,
) -> None:
    """Hash every file of the pushed versions again. Exit code 1 when one is not what was pushed."""
    from penstock.pipelines.models.find import find_models
    from penstock.pipelines.models.show import damage

    with told_plainly(json=json):
        model, version = _named(name, in_) if name else (None, None)
        models = [model] if model else find_models(in_ or ())
        results = [
            (each.name, number, damage(path))
            for each in models
            for number, path in each.versions().items()
            if version in (None, number)
        ]
        if version is not None and not results and model is not None:
            raise ArtifactError(f"version {version} of {model.name} is not there", where=model.base)
    if json:
        print_json([{"model": name, "version": number, "problem": problem} for name, number, problem in results])
    for each, number, problem in () if json else results:
        typer.echo(f"{'✗' if problem else '✓'} {each} {number}: {problem or 'as it was pushed'}")
    if any(problem for _, _, problem in results):
        raise typer.Exit(1)


@example("penstock models prune digits --keep 3 --dry-run")
def prune(
    name: Name,
    *,
    keep: Annotated[int, typer.Option("--keep", min=1, help="Newest versions that stay.")] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be removed; remove nothing.")] = False,
    in_: In = None,
    json: Json = False,
) -> None:
    """Remove old versions that the Pusher published and that no label and no config asks for."""
    from penstock.pipelines.models.prune import prune as remove

    with told_plainly(json=json):
        model, _ = _named(name, in_)
        removed = remove(model, keep, dry_run=dry_run)
    if json:
        print_json({"model": model.name, "removed": removed, "dry_run": dry_run})
        return
    verb = "Would remove" if dry_run else "Removed"
    typer.echo(f"{verb} {', '.join(f'version {number}' for number in removed) or 'nothing'} of {model.name}.")


for command, title in (
    (list_models, "list"),
    (show, "show"),
    (promote, "promote"),
    (rollback, "rollback"),
    (verify, "verify"),
    (prune, "prune"),
):
    app.command(title, epilog=getattr(command, "example", None))(command)


def _named(name: str, where: list[Path] | None) -> tuple[Model, int | None]:
    """Return the model, and the version behind its slash."""
    from penstock.pipelines.models.find import find_model

    plain, slash, version = name.partition("/")
    if slash and not version.isdecimal():
        raise ConfigError(f"{name!r} names no version", expected=f"{plain}/NUMBER")
    return find_model(plain, where or ()), int(version) if slash else None


def _move(model: Model, version: int, label: str, *, kind: str, grpc: str | None, timeout: float, json: bool) -> None:  # noqa: PLR0913
    from penstock.pipelines.models.change import change_label

    def say(line: str) -> None:
        typer.echo(line, err=json)

    done = change_label(model, version, label, kind=kind, grpc=grpc, timeout=timeout, say=say)
    if json:
        print_json({**asdict(done.moved), "notes": done.notes})
        return
    for note in done.notes:
        typer.echo(note)


def _labelled(model: Model) -> str:
    return "".join(f"  {label} → {version}" for label, version in model.labels.items())


def _show(facts: ModelFacts, *, whole: bool) -> None:
    typer.echo(f"{facts.name}  {facts.base}")
    typer.echo(f"  config   {facts.config}")
    typer.echo(f"  server   {facts.server or 'none that Penstock started runs'}")
    for one in facts.versions:
        state = one.state or ("asked for" if one.asked_for else "not served")
        labels = f"  {', '.join(one.labels)}" if one.labels else ""
        typer.echo(f"  version {one.version}  {state}{labels}  digest {(one.digest or 'none: not pushed by us')[:12]}")
        if whole:
            _tell(one.story, one.version)


def _tell(story: Story | None, version: int) -> None:
    if story is None:
        typer.echo(f"  No metadata store knows version {version}: --in FILE names its pipeline.")
        return
    lines: dict[str, Any] = {
        "pushed": f"{story.reason}, by {story.pipeline} in run {story.run}",
        "commit": story.commit or "not known",
        "data": "; ".join(f"{origin}  {identity}" for origin, identity in story.data.items()) or "not known",
        "training": _figures(story.training),
        "evaluated": _figures(story.evaluation) + {None: "", True: "  blessed", False: "  not blessed"}[story.blessed],
        "config": ", ".join(f"{key}={value}" for key, value in story.parameters.items() if _is_short(value)),
        "labels": "; ".join(story.labels) or "no promotion or rollback recorded",
        "predicted": ", ".join(story.predictions) or "nothing that the store knows of",
        "store": story.store,
    }
    for title, text in lines.items():
        typer.echo(f"  {title:<9} {text}")


def _is_short(value: object) -> bool:
    """Whether a parameter is for the terminal: groups of options, at their defaults mostly, are for --json."""
    return value is not None and len(str(value)) < _SHORT


def _figures(metrics: Any) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no figures"
