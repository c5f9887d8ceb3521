"""The summary that a run ends with, on a terminal or in a log."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from penstock.pipelines.config.marks import shown_path
from penstock.pipelines.progress import MARKS
from penstock.pipelines.summary.flatbuffers import flatbuffer_lines

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from penstock.pipelines.predictions import Predictions
    from penstock.pipelines.runners.local import RunResult, StepRun
    from penstock.pipelines.summary.collect import Push, Summary
    from penstock.pipelines.summary.evaluation import Evaluation
    from penstock.pipelines.summary.samples import Samples

_SLICES_SHOWN = 6
_RIGHT = {True: "✓", False: "✗", None: "·"}


def show(console: Console, result: RunResult, summary: Summary | None) -> None:
    """Print what became of each step, the errors, and what the run achieved."""
    console.print()
    console.print(_step_table(result))
    for line in _totals(result):
        console.print(line, highlight=False, soft_wrap=True)
    for step in result.steps:
        if step.error is not None:
            _show_error(console, step)
    for line in _achieved(summary) if summary else ():
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _step_table(result: RunResult) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("step")
    table.add_column("component")
    table.add_column("result")
    table.add_column("seconds", justify="right")
    for step in result.steps:
        mark, style = MARKS[step.state]
        note = f", {step.reason}" if step.reason else ""
        seconds = f"{step.seconds:.1f}" if step.seconds else ""
        table.add_row(step.name, step.component, f"[{style}]{mark} {step.state}{note}[/]", seconds)
    return table


def _totals(result: RunResult) -> Iterator[str]:
    working = sum(step.seconds for step in result.steps)
    yield f"{result.seconds:.1f} s in all: {result.start_up:.1f} s to start, {working:.1f} s in steps."
    states = {step.state for step in result.steps}
    if states == {"cached"}:
        yield f"Every step was cached: nothing changed since they ran. Logs: {shown_path(result.logs)}"
    elif result.interrupted:
        yield f"Interrupted. Finished steps are kept and will be cached. Logs: {shown_path(result.logs)}"
    else:
        yield f"Logs: {shown_path(result.logs)}"


def _show_error(console: Console, step: StepRun) -> None:
    console.print(f"\n{step.name} failed", style="bold red", highlight=False)
    console.print(str(step.error), highlight=False, soft_wrap=True, markup=False)
    if step.log is not None:
        console.print(f"  log: {shown_path(step.log)}", highlight=False, soft_wrap=True, markup=False)


def _achieved(summary: Summary) -> Iterator[str]:
    for where, found in summary.anomalies.items():
        if found:
            yield f"\nAnomalies, {where}"
            yield from (f"  {text}" for text in found)
    for evaluation in summary.evaluations:
        yield from _evaluation(evaluation)
    for flatbuffers in summary.flatbuffers:
        yield from flatbuffer_lines(flatbuffers, shown_path(flatbuffers.report))
    for push in summary.pushes:
        yield from _push(push)
    for predictions in summary.predictions:
        yield from _predictions(predictions)
    if summary.samples:
        yield from _samples(summary.samples)


def _evaluation(evaluation: Evaluation) -> Iterator[str]:
    yield f"\nEvaluation, {evaluation.step}"
    for name, metrics in list(evaluation.metrics.items())[:_SLICES_SHOWN]:
        yield f"  {name}: " + ", ".join(f"{metric} {value:.4g}" for metric, value in metrics.items())
    if len(evaluation.metrics) > _SLICES_SHOWN:
        yield f"  and {len(evaluation.metrics) - _SLICES_SHOWN} more slices"
    if evaluation.blessed is None:
        yield "  not judged: no threshold is set"
    elif evaluation.blessed:
        yield "  blessed: every threshold is met"
    else:
        yield "  not blessed:"
        yield from (f"    {reason}" for reason in evaluation.reasons)


def _push(push: Push) -> Iterator[str]:
    if not push.pushed or push.path is None:
        yield f"\nNot pushed, {push.step}: {push.reason}"
    elif push.there:
        what = f" ({push.modes})" if push.modes else ""
        yield f"\nPushed version {push.version}{what} to {shown_path(push.path)}"
    else:
        yield f"\nVersion {push.version} is no longer at {shown_path(push.path)}; --from {push.step} pushes again"


def _predictions(predictions: Predictions) -> Iterator[str]:
    if not predictions.scored:
        yield f"\nNothing scored, {predictions.step}: {predictions.reason}"
        return
    yield (
        f"\nScored {predictions.rows:,} rows with {predictions.model}, {predictions.errors:,} errors: "
        f"{shown_path(predictions.path)}"
    )


def _samples(samples: Samples) -> Iterator[str]:
    yield f"\nThe pushed model, asked through its signature {samples.signature}"
    for row in samples.rows:
        sure = f"  ({row.probability:.1%})" if row.probability is not None else ""
        yield f"  {_RIGHT[row.right]} predicted {row.predicted}, true label {row.label}{sure}"
