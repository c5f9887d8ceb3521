"""``penstock runs``: which runs there are, what became of one, what differs between two; and runs on a cluster."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from penstock.pipelines.cli import remote_runs
from penstock.pipelines.cli.metadata_options import In, Pipeline, Run
from penstock.pipelines.cli.options import Json, errors_as_json, example, print_json
from penstock.pipelines.cli.remote_options import Namespace, OptionalHost, TokenEnv

app = typer.Typer(
    name="runs",
    help="List, show and compare the runs recorded here; list, follow and stop those on a cluster.",
    epilog="Example: penstock runs diff",
    no_args_is_help=True,
)


@example("penstock runs list --in configs/digits.yaml")
def list_runs(  # noqa: PLR0913  One argument an option.
    *,
    in_: In = None,
    pipeline: Pipeline = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=200, help="So many of each pipeline, the newest.")] = 20,
    host: OptionalHost = None,
    token_env: TokenEnv = None,
    namespace: Namespace = None,
    json: Json = False,
) -> None:
    """List the runs, the newest first: state, start, duration, steps, the model version pushed and its metric."""
    if host is not None:
        with errors_as_json(enabled=json):
            remote_runs.list_remote(remote_runs.place_of(host, token_env, namespace), limit=limit, json=json)
        return
    from dataclasses import asdict

    from penstock.metadata.runs import list_runs as ask
    from penstock.pipelines.cli.runs_text import show_list
    from penstock.pipelines.stores import readers

    with errors_as_json(enabled=json):
        found = [line for reader in readers(in_ or (), pipeline) for line in ask(reader, limit)]
    # Those of a pipeline come newest first already, and stay so where two began in the same millisecond.
    found.sort(key=lambda line: line.started, reverse=True)
    if json:
        print_json([asdict(line) for line in found])
    else:
        show_list(found)


@example("penstock runs show latest~1")
def show(
    run: Run = "latest",
    *,
    step: Annotated[str | None, typer.Option("--step", metavar="STEP", help="Only this step of it.")] = None,
    in_: In = None,
    pipeline: Pipeline = None,
    json: Json = False,
) -> None:
    """Tell of a run each step with its state, duration, cache origin, inputs, outputs and properties."""
    from penstock.metadata.runs import read_run
    from penstock.pipelines.cli.chosen_run import chosen_run, require_step
    from penstock.pipelines.cli.runs_text import show_run

    with errors_as_json(enabled=json):
        reader, chosen = chosen_run(run, in_, pipeline)
        found = read_run(reader, chosen)
        if step is not None:
            found = replace(found, steps=(require_step(found, step),))
    if json:
        print_json(found.to_dict())
    else:
        show_run(found)


@example("penstock runs diff latest~3 latest")
def diff(
    first: Annotated[
        str | None,
        typer.Argument(metavar="A", help="A run, as for show; alone it is compared with the run before it."),
    ] = None,
    second: Annotated[str | None, typer.Argument(metavar="B", help="A later run of the same pipeline.")] = None,
    *,
    in_: In = None,
    pipeline: Pipeline = None,
    json: Json = False,
) -> None:
    """Tell what differs between two runs: config, code, data, metrics, artifacts, steps, library versions.

    Without arguments the newest run is compared with the one before it.
    """
    from penstock.metadata.diff import diff_runs
    from penstock.metadata.runs import read_run
    from penstock.pipelines.cli.chosen_run import chosen_pair
    from penstock.pipelines.cli.runs_text import show_diff

    with errors_as_json(enabled=json):
        reader, *chosen = chosen_pair(first, second, in_, pipeline)
        before, after = (read_run(reader, run) for run in chosen)
        found = diff_runs(before, after)
    if json:
        print_json(found.to_dict())
    else:
        show_diff(found, before, after)


for command, title in (
    (list_runs, "list"),
    (show, "show"),
    (diff, "diff"),
    (remote_runs.follow, "follow"),
    (remote_runs.stop, "stop"),
):
    app.command(title, epilog=getattr(command, "example", None))(command)
