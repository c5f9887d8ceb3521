"""``penstock models``: what was pushed, which label points where, and how to move it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import ArtifactError, ConfigError
from penstock.pipelines.cli.models_text import list_line, listed, show_model
from penstock.pipelines.cli.options import Json, example, print_json
from penstock.pipelines.cli.serving_options import Grpc, In, Label, Name, Seconds, Where, told_plainly

if TYPE_CHECKING:
    from penstock.pipelines.models.change import Wish
    from penstock.pipelines.models.find import Model

app = typer.Typer(
    name="models",
    help="List, describe, promote, roll back, verify and prune the models that were pushed.",
    epilog="Example: penstock models promote digits 2 --label stable",
    no_args_is_help=True,
)


@example("penstock models list")
def list_models(
    where: Where = None,
    *,
    json: Json = False,
) -> None:
    """List the models with their versions and labels."""
    from penstock.pipelines.models.find import find_models
    from penstock.pipelines.models.show import known_states

    with told_plainly(json=json):
        found = [listed(model, *known_states(model)) for model in find_models(where or ())]
    if json:
        print_json(found)
        return
    if not found:
        typer.echo("No pushed model was found below this folder.")
    for facts in found:
        typer.echo(list_line(facts))


@example("penstock models show digits/2")
def show(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME[/VERSION]", help="The model, or one of its versions: digits/2, digits@stable."),
    ],
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
        show_model(facts, whole=version is not None)


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
    from penstock.pipelines.models.change import Wish

    with told_plainly(json=json):
        model = _whole(name, in_)
        _move(model, Wish("promote", label, version, create), grpc=grpc, timeout=timeout, json=json)


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
    from penstock.pipelines.models.change import Wish

    with told_plainly(json=json):
        model = _whole(name, in_)
        _move(model, Wish("rollback", label, to), grpc=grpc, timeout=timeout, json=json)


@example("penstock models verify digits")
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME[/VERSION]", help="What to check; everything when not given.")
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
        model = _whole(name, in_)
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


def _whole(name: str, where: list[Path] | None) -> Model:
    """Return the model of a name that may say neither a version nor a label: what is meant has an option or place."""
    from penstock.pipelines.models.find import find_model

    if "@" in name or "/" in name:
        raise ConfigError(
            f"{name!r} names a version, and a model is wanted",
            expected="a model's name, such as digits",
            hint="a label is named with --label, a version behind the name or with --to: see --help",
        )
    return find_model(name, where or ())


def _named(name: str, where: list[Path] | None) -> tuple[Model, int | None]:
    """Return the model, and the version behind its slash, or the one that the label behind an @ points to."""
    from penstock.pipelines.models.choose import labelled_version
    from penstock.pipelines.models.find import find_model

    plain, at, label = name.partition("@")
    if at:
        model = find_model(plain, where or ())
        return model, labelled_version(model, label)
    plain, slash, version = name.partition("/")
    if slash and not version.isdecimal():
        raise ConfigError(f"{name!r} names no version", expected=f"{plain}/NUMBER or {plain}@LABEL")
    return find_model(plain, where or ()), int(version) if slash else None


def _move(model: Model, wish: Wish, *, grpc: str | None, timeout: float, json: bool) -> None:
    from penstock.pipelines.models.change import change_label

    def say(line: str) -> None:
        typer.echo(line, err=json)

    done = change_label(model, wish, grpc=grpc, timeout=timeout, say=say)
    if json:
        print_json({**asdict(done.moved), "notes": done.notes})
        return
    for note in done.notes:
        typer.echo(note)
