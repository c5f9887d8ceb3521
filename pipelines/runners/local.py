"""Runs a pipeline on this machine: TFX's launcher a step, each in a worker process, independent steps side by side."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

from penstock.errors import EnvironmentProblem, PenstockError
from penstock.metadata.connection import require_access
from penstock.metadata.owners import Owner
from penstock.pipelines.config import Loaded
from penstock.pipelines.engines.start import Demand, Engine
from penstock.pipelines.engines.start import started as engine_started
from penstock.pipelines.graph import Graph
from penstock.pipelines.runners import jobs
from penstock.pipelines.runners.disks import with_full_disk
from penstock.pipelines.runners.jobs import Ended, Prepared, Selection, State
from penstock.pipelines.runners.lock import hold
from penstock.pipelines.runners.reasons import reason_of
from penstock.pipelines.runners.temporary import temporary_folder
from penstock.pipelines.runners.workers import Task, Workers

# benchmarks/parallel_steps.py: what two at a time save on two cores. More than the cores would only share them.
PARALLEL_STEPS = 2
_POLL_SECONDS = 0.5
_GRACE_SECONDS = 10.0
_IMPORTS = "imports.log"


@dataclass(frozen=True)
class StepRun:
    """What became of one step: its state, wall seconds in its process, log and error."""

    name: str
    component: str
    state: State
    seconds: float = 0.0
    log: Path | None = None
    error: PenstockError | None = None
    reason: str | None = None


@dataclass(frozen=True)
class RunResult:
    """What became of a run.

    Attributes:
        run_id: Names the run in ML Metadata and its folder of logs.
        logs: That folder.
        steps: One entry a step, in the order of the graph.
        start_up: Seconds until the pipeline was imported, checked and compiled.
        seconds: Wall seconds of the whole run.
        interrupted: Whether Ctrl-C ended it.
    """

    run_id: str
    logs: Path
    graph: Graph
    steps: tuple[StepRun, ...]
    start_up: float
    seconds: float
    interrupted: bool = False

    @property
    def ok(self) -> bool:
        """Whether every selected step ran or was cached."""
        return all(step.state in ("ran", "cached", "reused") for step in self.steps)


class Observer(Protocol):
    """Told what happens while a run goes on."""

    def waiting(self, text: str) -> None:
        """Another run holds the root, as the text says."""

    def preparing(self, run_id: str, logs: Path) -> None:
        """The imports and the build begin."""

    def prepared(self, graph: Graph, seconds: float) -> None:
        """The steps are known; they start now."""

    def started(self, step: str) -> None:
        """A step's process started."""

    def step_status(self, step: str, text: str) -> None:
        """A running step says what it is doing now."""

    def step_note(self, step: str, text: str) -> None:
        """A running step says something worth keeping."""

    def finished(self, step: StepRun) -> None:
        """A step ended, one way or another."""


@dataclass(frozen=True)
class _StepSink:
    """Hands on what a step reports, under its name."""

    observer: Observer
    step: str

    def status(self, text: str) -> None:
        self.observer.step_status(self.step, text)

    def note(self, text: str) -> None:
        self.observer.step_note(self.step, text)


@dataclass
class _Running:
    tasks: dict[str, Task] = field(default_factory=dict)
    started: dict[str, float] = field(default_factory=dict)


class LocalRunner:
    """Runs one loaded config.

    Args:
        loaded: The config.
        selection: Which steps to run.
        observer: Told about progress.
        wait: Wait for another run on the same root instead of refusing.
        jobs: How many independent steps run at the same time.
    """

    def __init__(
        self,
        loaded: Loaded,
        selection: Selection,
        observer: Observer,
        *,
        wait: bool = False,
        jobs: int = PARALLEL_STEPS,
    ) -> None:
        self._loaded = loaded
        self._selection = selection
        self._observer = observer
        self._wait = wait
        self._jobs = jobs
        self.run_id = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
        self.logs = Path(loaded.root) / "logs" / self.run_id
        self._finished: dict[str, StepRun] = {}
        self._running = _Running()
        self._engine = Engine()

    def run(self) -> RunResult:
        """Run the selected steps; a failed step stops what depends on it and nothing else.

        Raises:
            ConfigError: The pipeline cannot be built.
            EnvironmentProblem: The root is in use or cannot be written, or the metadata's server lets nobody in.
        """
        require_access(self._loaded.location)  # What a server refuses is known before anything is imported.
        root = Path(self._loaded.root)
        with hold(root, wait=self._wait, tell=self._observer.waiting) as lock, temporary_folder() as temporary:
            began = time.monotonic()
            self._owner = Owner.here(self._loaded.config.pipeline, self._loaded.root, lock)
            self._make_logs()
            self._observer.preparing(self.run_id, self.logs)
            self.workers = Workers(self._loaded.document.project, self.logs / _IMPORTS)
            self.workers.environment["TMPDIR"] = temporary
            arguments = (self._loaded, self._selection, self.run_id, self.logs / "pipeline.pbtxt", self._owner)
            try:
                prepared: Prepared = self.workers.run(jobs.prepare, *arguments, log=self.logs / "prepare.log")
            except PenstockError as error:
                raise self._with_cause(error) from error
            start_up = time.monotonic() - began
            self._observer.prepared(prepared.graph, start_up)
            with self._engine_of(prepared) as self._engine:
                self.workers.environment.update(self._engine.environment)
                interrupted = self._run_steps(prepared)
            steps = tuple(self._finished[name] for name in prepared.graph.steps)
            seconds = time.monotonic() - began
            return RunResult(self.run_id, self.logs, prepared.graph, steps, start_up, seconds, interrupted)

    def _engine_of(self, prepared: Prepared) -> AbstractContextManager[Engine]:
        """Start what the Beam steps that will run need beyond their own process."""
        call = partial(self.workers.run, log=self.logs / "prepare.log")
        demand = Demand.of(prepared.graph, prepared.graph.steps.keys() - prepared.ended.keys())
        return engine_started(demand, self.logs / "job-server.log", call)

    def _make_logs(self) -> None:
        try:
            self.logs.mkdir(parents=True)
            (self.logs / _IMPORTS).touch()
        except OSError as error:
            raise EnvironmentProblem(
                f"the logs cannot be written: {error.strerror or error}", where=str(self.logs)
            ) from error

    def _run_steps(self, prepared: Prepared) -> bool:
        """Run until every step has an end; return whether Ctrl-C made it."""
        for name in (name for name in prepared.graph.steps if name in prepared.ended):
            ended = prepared.ended[name]
            self._end(StepRun(name, prepared.graph.steps[name].type.name, ended.state, ended.seconds))
        try:
            while len(self._finished) < len(prepared.graph.steps):
                self._start_ready(prepared)
                self._collect(prepared)
        except KeyboardInterrupt:
            self._interrupt(prepared)
            return True
        return False

    def _start_ready(self, prepared: Prepared) -> None:
        for name in _ready(prepared.graph, self._finished, set(self._running.tasks)):
            if len(self._running.tasks) >= self._jobs:
                return
            self._observer.started(name)
            self._running.started[name] = time.monotonic()
            log = self.logs / f"{name}.log"
            sink = _StepSink(self._observer, name)
            arguments = (prepared.ir, name, self._owner, self._loaded.document)
            self._running.tasks[name] = self.workers.start(jobs.run_step, *arguments, log=log, sink=sink)

    def _collect(self, prepared: Prepared) -> None:
        Workers.wait(list(self._running.tasks.values()), _POLL_SECONDS)
        for name, task in list(self._running.tasks.items()):
            if task.done():
                self._end_task(prepared, name, task)

    def _end_task(self, prepared: Prepared, name: str, task: Task) -> None:
        component = prepared.graph.steps[name].type.name
        try:
            outcome: Ended = task.result()
            run = StepRun(name, component, outcome.state, outcome.seconds, task.log)
        except PenstockError as error:
            seconds = time.monotonic() - self._running.started[name]
            run = StepRun(name, component, "failed", seconds, task.log, self._with_cause(error))
            self._record_failures(prepared, run)
        del self._running.tasks[name]
        self._end(run)
        if run.state == "failed":
            self._stop_dependents(prepared.graph, name)

    def _with_cause(self, error: PenstockError) -> PenstockError:
        """Tell a full disk, and a job server that is gone, as such: what they broke is reported in many ways."""
        try:
            self._engine.require_running()
        except EnvironmentProblem as gone:
            return gone
        places = {"the root": Path(self._loaded.root), "the logs": self.logs}
        if self._loaded.server is None:
            places["the metadata store"] = Path(self._loaded.sqlite).parent
        return with_full_disk(error, places)

    def _stop_dependents(self, graph: Graph, failed: str) -> None:
        stopped = graph.downstream(frozenset([failed])) - self._finished.keys()
        for name in (name for name in graph.steps if name in stopped):
            self._end(StepRun(name, graph.steps[name].type.name, "not run", reason=f"{failed} failed"))

    def _interrupt(self, prepared: Prepared) -> None:
        """End what runs, and record it as ended."""
        ended, grace = [], _GRACE_SECONDS
        for name in self._running.tasks:
            self._observer.step_status(name, "is asked to end; Ctrl-C again ends it at once")
        for name, task in self._running.tasks.items():
            try:
                task.stop(grace)
            except KeyboardInterrupt:  # Who asks twice does not want to wait, for the other steps neither.
                grace = 0.0
                task.stop(grace)
            seconds = time.monotonic() - self._running.started[name]
            ended.append(StepRun(name, prepared.graph.steps[name].type.name, "interrupted", seconds, task.log))
            self._end(ended[-1])
        if ended:
            self._record_failures(prepared, *ended)
        for name in (name for name in prepared.graph.steps if name not in self._finished):
            self._end(StepRun(name, prepared.graph.steps[name].type.name, "not run", reason="interrupted"))

    def _record_failures(self, prepared: Prepared, *ended: StepRun) -> None:
        """Record why steps did not end well. What failed them may prevent that too; the next run closes them then."""
        document = self._loaded.document
        told = {
            run.name: reason_of(run.error, run.name, document) if run.error else "the run was interrupted"
            for run in ended
        }
        try:
            self.workers.run(jobs.abandon, prepared.ir, self._owner, told, log=self.logs / "prepare.log")
        except PenstockError as error:
            for name in told:
                text = f"its end is not in ML Metadata, the next run records it: {self._with_cause(error).what}"
                self._observer.step_note(name, text)

    def _end(self, run: StepRun) -> None:
        self._finished[run.name] = run
        self._observer.finished(run)


def _ready(graph: Graph, finished: dict[str, StepRun], running: set[str]) -> Iterator[str]:
    """Yield the steps whose inputs are there, in the graph's order."""
    for name, step in graph.steps.items():
        if name not in finished and name not in running and step.upstream <= finished.keys():
            yield name
