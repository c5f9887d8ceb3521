"""``penstock metadata``: what the metadata store holds, for other programs."""

from __future__ import annotations

import json as json_text
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.metadata_options import STANDARD_OUTPUT, In, Pipeline
from penstock.pipelines.cli.options import example

if TYPE_CHECKING:
    from penstock.metadata.scan import Scan

app = typer.Typer(
    name="metadata",
    help="Export what ML Metadata holds.",
    epilog="Example: penstock metadata export -o history.jsonl",
    no_args_is_help=True,
)


class Format(StrEnum):
    """What an export is made of."""

    JSONL = "jsonl"
    OPENLINEAGE = "openlineage"


@app.callback()
def _group() -> None:
    pass


@example("penstock metadata export --format openlineage --post http://localhost:5000/api/v1/lineage")
def export(  # noqa: PLR0913  One argument an option.
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Standard output when not given, or -.")
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="Everything as JSON Lines, or OpenLineage events.")
    ] = Format.JSONL,
    namespace: Annotated[str, typer.Option("--namespace", help="OpenLineage: namespace of the jobs.")] = "penstock",
    repository: Annotated[
        str, typer.Option("--repository", metavar="URL", help="OpenLineage: the project's repository, in a browser.")
    ] = "",
    post: Annotated[
        str | None, typer.Option("--post", metavar="URL", help="OpenLineage: send each event there instead.")
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds for the answer to one event.")] = 10.0,
    in_: In = None,
    pipeline: Pipeline = None,
) -> None:
    """Write every artifact, execution, event and context of the pipeline, one JSON object a line."""
    from penstock.metadata.scan import Scan
    from penstock.pipelines.stores import readers

    if post is not None and (format_ is not Format.OPENLINEAGE or output is not None):
        raise ConfigError(
            "--post sends OpenLineage events instead of writing them",
            received="-o" if output is not None else f"--format {format_}",
            hint="give --format openlineage and no -o",
        )
    found = [Scan(reader.location, str(reader.pipeline)) for reader in readers(in_ or (), pipeline)]
    entries = (entry for scan in found for entry in _entries(scan, format_, namespace, repository))
    if post is not None:
        from penstock.pipelines.openlineage import send

        typer.echo(f"{send(entries, post, timeout)} events sent to {post}")
    elif output is None or output == STANDARD_OUTPUT:
        for entry in entries:
            sys.stdout.write(_line(entry))
    else:
        _write(entries, output)


app.command("export", epilog=getattr(export, "example", None))(export)


def _entries(scan: Scan, format_: Format, namespace: str, repository: str) -> Iterator[dict[str, Any]]:
    if format_ is Format.JSONL:
        from penstock.metadata.export import export as everything

        return everything(scan)
    from penstock.metadata.openlineage import Naming, events

    return events(scan, Naming(namespace, repository))


def _write(entries: Iterator[dict[str, Any]], output: Path) -> None:
    """Publish the lines in one step: what fails leaves no half of a file."""
    from penstock import durable
    from penstock.paths import shown_path
    from penstock.pipelines.written import written

    count = 0

    def write(partial: Path) -> None:
        nonlocal count
        with partial.open("w", encoding="utf-8") as file:
            for entry in entries:
                file.write(_line(entry))
                count += 1

    with written(output, "the export"):
        durable.write_beside(output, write, alone=False)
    typer.echo(f"{shown_path(output)}  {count} lines, {output.stat().st_size / 1000:.0f} kB")


def _line(entry: dict[str, Any]) -> str:
    return json_text.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"
