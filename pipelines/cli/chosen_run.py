"""The run that a person means, in whichever pipeline below here it is; and runs to compare it with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.metadata.choose import choose_run, is_latest, run_before
from penstock.pipelines.stores import ask_all, readers

if TYPE_CHECKING:
    from penstock.metadata.reader import Reader
    from penstock.metadata.records import RunRecord
    from penstock.metadata.runs import Run, Step
    from penstock.pipelines.cli.metadata_options import In


def chosen_run(text: str, in_: In, pipeline: str | None) -> tuple[Reader, RunRecord]:
    """Return the run that a text names, and the pipeline that it is of.

    Args:
        text: As for :func:`choose_run`; of several pipelines, ``latest`` means the one that ran last.
        in_: Where to look.
        pipeline: Only this pipeline.

    Raises:
        ConfigError: There is no such run, or several pipelines have it.
        EnvironmentProblem: A store cannot be read.
    """
    found = readers(in_ or (), pipeline)
    if is_latest(text) and len(found) > 1:
        newest = {place: runs[0] for place, reader in enumerate(found) if (runs := reader.newest_runs(1))}
        if newest:
            found = [found[max(newest, key=lambda place: (newest[place].created, newest[place].id))]]
    return ask_all(found, lambda reader: choose_run(reader, text), f"run {text!r}")


def chosen_pair(
    first: str | None, second: str | None, in_: In, pipeline: str | None
) -> tuple[Reader, RunRecord, RunRecord]:
    """Return two runs of one pipeline: those named, or the one named and the one before it, or the two newest.

    Raises:
        ConfigError: There is no such run.
        EnvironmentProblem: A store cannot be read.
    """
    if first is None or second is None:
        reader, after = chosen_run(first or "latest", in_, pipeline)
        return reader, run_before(reader, after), after
    # The one that is named by its id says which pipeline is meant.
    if is_latest(first) and not is_latest(second):
        reader, after = chosen_run(second, in_, pipeline)
        return reader, choose_run(reader, first), after
    reader, before = chosen_run(first, in_, pipeline)
    return reader, before, choose_run(reader, second)


def require_step(run: Run, name: str) -> Step:
    """Return a step of a run.

    Raises:
        ConfigError: It has none of that name.
    """
    steps = {step.name: step for step in run.steps}
    if name not in steps:
        raise ConfigError(
            f"run {run.id} has no step {name!r}",
            received=name,
            expected=f"one of {', '.join(steps)}",
            hint=did_you_mean(name, steps),
        )
    return steps[name]
