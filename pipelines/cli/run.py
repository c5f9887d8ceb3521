"""``penstock run``."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.cli.checked import checked, refuse_other_tasks, refuse_remote_root
from penstock.pipelines.cli.options import File, Json, Set, errors_as_json, example, print_json

if TYPE_CHECKING:
    from penstock.pipelines.config import Loaded
    from penstock.pipelines.graph import Graph
    from penstock.pipelines.runners.jobs import Selection
    from penstock.pipelines.runners.local import RunResult
    from penstock.pipelines.summary.collect import Summary

INTERRUPTED = 130
EVERY = "all"
_CUT_SHORT = "Interrupted. The next run closes what was begun, and takes up what has finished."


@example("penstock run configs/digits.yaml --set vars.epochs=2 --from trainer")
def run(  # noqa: PLR0913  One argument an option.
    file: File,
    *,
    set_: Set = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", metavar="STEP", help="Run STEP and all that depends on it; reuse what comes before."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="STEP", help="Run this step alone; may be given several times."),
    ] = None,
    no_cache: Annotated[
        list[str] | None,
        typer.Option(
            "--no-cache",
            metavar="STEP",
            help="Run this step even where a result exists; may be given several times; 'all' for every step.",
        ),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another run on the same root.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Independent steps that run at the same time.")] = 2,
    json: Json = False,
) -> None:
    """Run a pipeline on this machine: progress a step, logs under ROOT/logs, a summary at the end."""
    from penstock.pipelines.runners.jobs import Selection

    with errors_as_json(enabled=json):
        loaded, graph = checked(file, set_)
        refuse_remote_root(loaded)
        refuse_other_tasks(os.environ)
        anew = tuple(graph.steps) if EVERY in (no_cache or ()) else tuple(no_cache or ())
        selection = Selection(tuple(only or ()), from_, anew)
        _check_selection(graph, selection)
        _check_engine(loaded, graph, selection)
        # A job that a scheduler ends is ended as Ctrl-C ends it.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        result, summary = _execute(loaded, selection, wait=wait, jobs=jobs, quiet=json)
    _tell(result, summary, json=json)
    if result.interrupted:
        raise typer.Exit(INTERRUPTED)
    if not result.ok:
        raise typer.Exit(1)


def _execute(
    loaded: Loaded, selection: Selection, *, wait: bool, jobs: int, quiet: bool
) -> tuple[RunResult, Summary | None]:
    from penstock.pipelines.progress import LiveProgress, PlainProgress
    from penstock.pipelines.runners.local import LocalRunner
    from penstock.pipelines.summary.collect import summarize

    console = _console(stderr=quiet)
    progress = LiveProgress(console) if console.is_terminal else PlainProgress(console)
    runner = LocalRunner(loaded, selection, progress, wait=wait, jobs=jobs)
    try:
        with progress:
            result = runner.run()
    except KeyboardInterrupt as error:
        typer.echo(_CUT_SHORT, err=True)
        raise typer.Exit(INTERRUPTED) from error
    if result.interrupted:
        return result, None
    log = result.logs / "summary.log"
    try:
        return result, runner.workers.run(summarize, result.graph, result.run_id, log=log)
    except KeyboardInterrupt:
        return replace(result, interrupted=True), None
    except PenstockError as error:
        # What ran has run and is recorded; a summary that cannot be made must not hide it.
        typer.echo(f"the summary could not be made: {error}\n  log: {log}", err=True)
        return result, None


def _tell(result: RunResult, summary: Summary | None, *, json: bool) -> None:
    if json:
        print_json(_as_json(result, summary))
        return
    from penstock.pipelines.summary.show import show

    show(_console(), result, summary)


def _console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(stderr=stderr)


def _check_selection(graph: Graph, selection: Selection) -> None:
    from penstock.closest import did_you_mean

    if selection.only and selection.start:
        raise ConfigError("--from and --only exclude each other", hint="give one of them")
    for name in (*selection.named, *selection.anew):
        if name not in graph.steps:
            raise ConfigError(
                f"no step '{name}'",
                expected=f"one of {', '.join(graph.steps)}",
                hint=did_you_mean(name, graph.steps),
            )
    chosen = frozenset(selection.only)
    above = {name for name in graph.steps if graph.downstream(frozenset([name])) & chosen}
    between = sorted(((graph.downstream(chosen) if chosen else set()) & above) - chosen)
    if between:
        raise ConfigError(
            f"--only leaves out {', '.join(between)}, which lies between the chosen steps",
            hint=f"add {' '.join(f'--only {name}' for name in between)}, or use --from",
        )


def _check_engine(loaded: Loaded, graph: Graph, selection: Selection) -> None:
    """Say before the imports that a job server cannot start, where a Beam step is sure to need it.

    Raises:
        EnvironmentProblem: There is no Java.
    """
    from penstock.pipelines.engines.start import require_java

    if any(graph.steps[name].type.beam for name in _sure_to_run(loaded, graph, selection)):
        require_java(graph.beam)


def _sure_to_run(loaded: Loaded, graph: Graph, selection: Selection) -> frozenset[str]:
    """Return the steps that can have no earlier result; whether the others have one only the store knows."""
    if selection.named:
        return frozenset(selection.named)
    if loaded.server is None and not Path(loaded.sqlite).exists():
        return frozenset(graph.steps)
    return frozenset(name for name, step in graph.steps.items() if not step.cache or name in selection.anew)


def _as_json(result: RunResult, summary: Summary | None) -> dict[str, Any]:
    return {
        "run": result.run_id,
        "ok": result.ok,
        "interrupted": result.interrupted,
        "seconds": round(result.seconds, 3),
        "start_up_seconds": round(result.start_up, 3),
        "logs": Path(result.logs),
        "steps": [
            {
                "name": step.name,
                "component": step.component,
                "state": step.state,
                "seconds": round(step.seconds, 3),
                "log": step.log,
                "reason": step.reason,
                "error": step.error.to_dict() if step.error else None,
            }
            for step in result.steps
        ],
        "summary": summary.to_dict() if summary else None,
    }
