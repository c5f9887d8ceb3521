"""What the terminal shows while a run on a cluster is followed: the lines of a local run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from penstock.pipelines.deploying.follow import POLL_SECONDS, Followed, Source, follow

if TYPE_CHECKING:
    from rich.console import Console

    from penstock.pipelines.runners.local import StepRun


def show_followed(console: Console, source: Source, run: str, steps: int, *, poll: float = POLL_SECONDS) -> Followed:
    """Follow a run, print its steps' lines, its errors, and how it ended.

    Args:
        console: Where to.
        source: The run.
        run: Its name, for the last line.
        steps: How many steps it has.
        poll: Seconds between two questions.

    Raises:
        PenstockError: It can be followed no longer; the run goes on.
        KeyboardInterrupt: As it came; the run goes on.
    """
    from penstock.pipelines.progress import LiveProgress, PlainProgress

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True, markup=False)

    began = time.monotonic()
    progress = LiveProgress(console) if console.is_terminal else PlainProgress(console)
    with progress:
        progress.submitted(steps)
        followed = follow(source, progress, say, poll=poll)
    for step in followed.steps:
        if step.error is not None:
            _show_error(console, step)
    if followed.outcome != "succeeded" and not any(step.error for step in followed.steps):
        say(f"the run {followed.outcome}: {followed.error or 'the API says no more'}")
    say(f"{run} {followed.outcome}, followed for {time.monotonic() - began:.0f} s")
    return followed


def _show_error(console: Console, step: StepRun) -> None:
    console.print(f"\n{step.name} failed", style="bold red", highlight=False)
    console.print(str(step.error), highlight=False, soft_wrap=True, markup=False)


def left_running(source: Source) -> str:
    """Return what is said after Ctrl-C."""
    return f"No longer followed; the run goes on.\n  follow it: {source.later}\n  stop it:   {source.stop}"


def as_json(followed: Followed) -> dict[str, Any]:
    """Return how a run ended as JSON data."""
    return {
        "outcome": followed.outcome,
        "error": followed.error,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "seconds": round(step.seconds, 3),
                "reason": step.reason,
                "error": step.error.to_dict() if step.error else None,
            }
            for step in followed.steps
        ],
    }
