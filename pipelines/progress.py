"""Progress of a run: one live line a step on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from penstock.pipelines.config.marks import shown_path
from penstock.pipelines.graph import Graph

if TYPE_CHECKING:
    from penstock.pipelines.runners.local import StepRun

MARKS = {
    "ran": ("✓", "green"),
    "cached": ("=", "cyan"),
    "reused": ("=", "cyan"),
    "failed": ("✗", "bold red"),
    "interrupted": ("✗", "yellow"),
    "not run": ("·", "dim"),
}
STATUS_SECONDS = 10.0
"""Seconds between the statuses of a step in plain output: a log shows life, and a short step stays one line."""


class PlainProgress(AbstractContextManager["PlainProgress"]):
    """A line when a step ends, its notes, and now and then its status; for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._heard: dict[str, float] = {}
        self._total = 0
        self._done = 0

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def waiting(self, text: str) -> None:
        """Say whom the run waits for."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def preparing(self, run_id: str, logs: Path) -> None:
        """Name the run and its logs."""
        self._console.print(f"run {run_id}, logs in {shown_path(logs)}", highlight=False, soft_wrap=True)
        self._console.print("importing TensorFlow and TFX", highlight=False)

    def prepared(self, graph: Graph, seconds: float) -> None:
        """Say how long the start took."""
        self._total = len(graph.steps)
        self._console.print(f"{self._total} steps, ready after {seconds:.1f} s", highlight=False)

    def submitted(self, steps: int) -> None:
        """The steps run elsewhere; only their number is known."""
        self._total = steps

    def started(self, step: str) -> None:
        """Nothing yet: a short step is named when it ends."""
        self._heard[step] = monotonic()

    def step_status(self, step: str, text: str) -> None:
        """Print the status if the step's last one is long ago."""
        if monotonic() - self._heard[step] >= STATUS_SECONDS:
            self._heard[step] = monotonic()
            self.step_note(step, text)

    def step_note(self, step: str, text: str) -> None:
        """Print the note behind the step's name."""
        for line in _printable(text).split("\n", allow_blank=True):
            prefixed = Text.assemble((f"  {step} │ ", "dim"), line)
            self._console.print(prefixed, soft_wrap=True)

    def finished(self, step: StepRun) -> None:
        """Print the step's end."""
        self._done += 1
        mark, style = MARKS[step.state]
        note = f" ({step.reason})" if step.reason else ""
        seconds = f"  {step.seconds:.1f} s" if step.seconds else ""
        line = f"[{self._done}/{self._total}] {mark} {step.name:<14} {step.state}{note}{seconds}"
        self._console.print(line, style=style, highlight=False, soft_wrap=True)


class LiveProgress(AbstractContextManager["LiveProgress"]):
    """A spinner with its status for each running step, its notes, and a line for each that ended."""

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

    def waiting(self, text: str) -> None:
        """Say whom the run waits for."""
        self._plain.waiting(text)

    def preparing(self, run_id: str, logs: Path) -> None:
        """Show that the imports go on."""
        self._console.print(f"run {run_id}, logs in {shown_path(logs)}", highlight=False, soft_wrap=True)
        self._bars[""] = self._progress.add_task("importing TensorFlow and TFX", status="")

    def prepared(self, graph: Graph, seconds: float) -> None:
        """The steps are known."""
        self._progress.remove_task(self._bars.pop(""))
        self._plain.prepared(graph, seconds)

    def submitted(self, steps: int) -> None:
        """The steps run elsewhere; only their number is known."""
        self._plain.submitted(steps)

    def started(self, step: str) -> None:
        """Show the step's spinner and clock."""
        self._bars[step] = self._progress.add_task(step, status="")

    def step_status(self, step: str, text: str) -> None:
        """Show the status beside the spinner."""
        self._progress.update(self._bars[step], status=text)

    def step_note(self, step: str, text: str) -> None:
        """Print the note above the spinners."""
        self._plain.step_note(step, text)

    def finished(self, step: StepRun) -> None:
        """Replace the spinner by a line."""
        if step.name in self._bars:
            self._progress.remove_task(self._bars.pop(step.name))
        self._plain.finished(step)


class _StatusColumn(ProgressColumn):
    """What a step does now, cut where the terminal ends."""

    def render(self, task: Task) -> Text:
        text = Text(" ").join(_printable(task.fields["status"]).split("\n"))
        text.no_wrap, text.overflow = True, "ellipsis"
        return text


def _spinners(console: Console) -> Progress:
    name = TextColumn("{task.description}", markup=False)
    columns = (SpinnerColumn(), name, TimeElapsedColumn(), _StatusColumn())
    return Progress(*columns, console=console, transient=True)


def _printable(text: str) -> Text:
    """Make text of any origin harmless: no cursor movements, no markup, nothing that cannot be encoded."""
    return Text.from_ansi(text.rstrip().encode("utf-8", "replace").decode("utf-8"))
