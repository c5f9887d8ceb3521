"""``penstock report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from penstock.errors import ConfigError
from penstock.pipelines.cli.metadata_options import STANDARD_OUTPUT, In, Pipeline, Run
from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json


@example("penstock report latest -o report.html")
def report(
    run: Run = "latest",
    *,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The page; - for standard output.")
    ] = Path("report.html"),
    in_: In = None,
    pipeline: Pipeline = None,
    json: Json = False,
) -> None:
    """Write a run as one HTML page: steps, data, training, metrics, flatbuffers, versions, predictions, lineage."""
    from penstock.pipelines.cli.chosen_run import chosen_run
    from penstock.pipelines.config.marks import shown_path
    from penstock.pipelines.report.collect import collect
    from penstock.pipelines.report.render import render, write

    with errors_as_json(enabled=json):
        reader, chosen = chosen_run(run, in_, pipeline)
        page = collect(reader, chosen)
        html = render(page)
        if output == STANDARD_OUTPUT:
            if json:
                raise ConfigError("--json and -o - both write to standard output", hint="name a file with -o")
            typer.echo(html, nl=False)
            return
        write(html, output)
    if json:
        print_json({"run": chosen.id, "file": str(output), "bytes": output.stat().st_size, "left_out": page.left_out})
        return
    typer.echo(f"{shown_path(output)}  {output.stat().st_size / 1000:.0f} kB, run {chosen.id} of {page.run.pipeline}")
    for title, why in page.left_out.items():
        typer.echo(f"  without {title}: {why}")
