"""Progress of a run: one live line a step on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from penstock.pipelines.config.marks import shown_path
from penstock.pipelines.graph import Graph

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from penstock.pipelines.runners.local import StepRun

MARKS = {
    "ran": ("✓", "green"),
    "cached": ("=", "cyan"),
    "reused": ("=", "cyan"),
    "failed": ("✗", "bold red"),
    "interrupted": ("✗", "yellow"),
    "not run": ("·", "dim"),
}


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """A line when a step ends; for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def preparing(self, run_id: str, logs: Path) -> None:
        """Name the run and its logs."""
        self._console.print(f"run {run_id}, logs in {shown_path(logs)}", highlight=False, soft_wrap=True)
        self._console.print("importing TensorFlow and TFX", highlight=False)

    def prepared(self, graph: Graph, seconds: float) -> None:
        """Say how long the start took."""
        self._total = len(graph.steps)
        self._console.print(f"{self._total} steps, ready after {seconds:.1f} s", highlight=False)

    def started(self, step: str) -> None:
        """Steps are named when they end."""

    def finished(self, step: StepRun) -> None:
        """Print the step's end."""
        self._done += 1
        mark, style = MARKS[step.state]
        note = f" ({step.reason})" if step.reason else ""
        seconds = f"  {step.seconds:.1f} s" if step.seconds else ""
        line = f"[{self._done}/{self._total}] {mark} {step.name:<14} {step.state}{note}{seconds}"
        self._console.print(line, style=style, highlight=False, soft_wrap=True)


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """A spinner for each running step, and a line for each that ended."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._plain = PlainProgress(console)
        self._stack = ExitStack()
        self._bars: dict[str, TaskID] = {}
        self._progress = _spinners(console)

    def __enter__(self) -> Self:
        self._stack.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def preparing(self, run_id: str, logs: Path) -> None:
        """Show that the imports go on."""
        self._console.print(f"run {run_id}, logs in {shown_path(logs)}", highlight=False, soft_wrap=True)
        self._bars[""] = self._progress.add_task("importing TensorFlow and TFX")

    def prepared(self, graph: Graph, seconds: float) -> None:
        """The steps are known."""
        self._progress.remove_task(self._bars.pop(""))
        self._plain.prepared(graph, seconds)

    def started(self, step: str) -> None:
        """Show the step's spinner and clock."""
        self._bars[step] = self._progress.add_task(step)

    def finished(self, step: StepRun) -> None:
        """Replace the spinner by a line."""
        if step.name in self._bars:
            self._progress.remove_task(self._bars.pop(step.name))
        self._plain.finished(step)


def _spinners(console: Console) -> Progress:
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    return Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True
    )
