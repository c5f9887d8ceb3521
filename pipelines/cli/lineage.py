"""``penstock lineage``."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.metadata_options import In, Pipeline
from penstock.pipelines.cli.options import errors_as_json, example, print_json

if TYPE_CHECKING:
    from penstock.metadata.reader import Reader
    from penstock.metadata.records import Artifact


class Format(StrEnum):
    """How a lineage is printed."""

    TREE = "tree"
    JSON = "json"
    MERMAID = "mermaid"


@example("penstock lineage digits@stable")
def lineage(  # noqa: PLR0913  One argument an option.
    what: Annotated[
        str,
        typer.Argument(
            metavar="X",
            help="A served version (digits/3, digits@stable), an artifact's id, its URI, a file in it, a step's output "
            "(trainer.model), data that was read, or a run: the version that it pushed, or its model.",
        ),
    ] = "latest",
    *,
    up: Annotated[bool, typer.Option("--up", help="Only what made it.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only what used it.")] = False,
    format_: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TREE,
    in_: In = None,
    pipeline: Pipeline = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Tell what made a model or any other artifact, and what used it."""
    from penstock.metadata.lineage import lineage as ask
    from penstock.metadata.mermaid import mermaid
    from penstock.pipelines.cli.lineage_text import show_tree

    if json:
        format_ = Format.JSON
    with errors_as_json(enabled=format_ is Format.JSON):
        reader, target = _found(what, in_, pipeline)
        found = ask(reader, target, "up" if up and not down else "down" if down and not up else None)
    if format_ is Format.JSON:
        print_json(found.to_dict())
    elif format_ is Format.MERMAID:
        typer.echo(mermaid(found))
    else:
        show_tree(found, up=up or not down, down=down or not up)


def _found(what: str, in_: In, pipeline: str | None) -> tuple[Reader, Artifact]:
    from penstock.metadata.choose import is_latest
    from penstock.metadata.targets import find_artifact
    from penstock.pipelines.cli.chosen_run import chosen_run
    from penstock.pipelines.stores import ask_all, readers

    if is_latest(what):
        reader, _ = chosen_run(what, in_, pipeline)
        return reader, find_artifact(reader, what)
    if "@" in what and "/" not in what:
        return _labelled(what, in_)
    return ask_all(readers(in_ or (), pipeline), lambda reader: find_artifact(reader, what), repr(what))


def _labelled(what: str, in_: In) -> tuple[Reader, Artifact]:
    """Return the version that a label points to, in the store that knows it."""
    from penstock.metadata.reader import Reader
    from penstock.pipelines.models.choose import labelled_version
    from penstock.pipelines.models.find import find_model
    from penstock.pipelines.models.tracking import tracked

    name, _, label = what.partition("@")
    # Models are looked for in folders: a store lies in its pipeline's root.
    model = find_model(name, [place.parent if place.suffix == ".sqlite" else place for place in in_ or ()])
    version = labelled_version(model, label)
    place = tracked(model, version)
    if place is None:
        raise ConfigError(
            f"no metadata store knows version {version} of {name}",
            where=model.base,
            received=what,
            hint="name the pipeline that pushed it: --in FILE",
        )
    store = Reader(place.store)
    pipeline = store.makers([place.artifact])[place.artifact].origin.pipeline
    return Reader(place.store, pipeline), store.artifacts([place.artifact])[place.artifact]
