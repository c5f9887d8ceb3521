"""Beam pipelines, from their making to their end, with errors that are ours."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError


def new_pipeline(make: Callable[[], Any]) -> Any:
    """Return a pipeline, for whatever runner.

    Args:
        make: Makes it.

    Raises:
        ConfigError: Beam refuses its options.
        EnvironmentProblem: Its runner cannot be set up, or could not start its workers.
    """
    try:
        pipeline = make()
    except ValueError as error:
        raise ConfigError(f"Beam refuses its options: {_last_line(error)}") from error
    except Exception as error:
        raise EnvironmentProblem(
            f"Beam cannot set up its runner: {type(error).__name__}: {_last_line(error)}",
            hint="check the network, the credentials of this process, and --beam",
        ) from error
    _require_startable_workers(pipeline)
    return pipeline


@contextmanager
def runner_errors(known: Callable[[], PenstockError | None], *, hint: str) -> Iterator[None]:
    """Turn what a runner raises into an error that a worker has kept, or else into one of ours.

    Args:
        known: Returns what a worker has kept. Runners pass on its text, if at all.
        hint: What to do next, where nothing is known.

    Raises:
        PenstockError: What the block has raised, so told.
    """
    try:
        yield
    except Exception as error:
        told = known() or (error if isinstance(error, EnvironmentProblem) else None)
        if told is error:
            raise
        if told is not None:
            raise told from error
        raise EnvironmentProblem(
            f"the Beam runner failed: {type(error).__name__}: {_last_line(error)}", hint=hint
        ) from error


def _require_startable_workers(pipeline: Any) -> None:
    """Refuse a mode in which Beam would wait for ever: it starts the processes by a shell line, without quotes.

    Raises:
        EnvironmentProblem: The path of Python does not survive that.
    """
    from apache_beam.options.pipeline_options import DirectOptions

    by_shell = pipeline.options.view_as(DirectOptions).direct_running_mode == "multi_processing"
    if by_shell and shlex.quote(sys.executable) != sys.executable:
        raise EnvironmentProblem(
            "Beam cannot start worker processes with this Python",
            received=sys.executable,
            expected="a path without spaces and other signs that a shell takes apart",
            hint="use direct_running_mode=in_memory or multi_threading, or an environment at another path",
        )


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else "without a message"
