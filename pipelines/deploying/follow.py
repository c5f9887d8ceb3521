"""Following a run until it ends: the steps' lines, through short absences of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from penstock.errors import EnvironmentProblem, PenstockError
from penstock.pipelines.deploying.answers import NoAnswer
from penstock.pipelines.deploying.failures import failure
from penstock.pipelines.deploying.tasks import Progress
from penstock.pipelines.runners.jobs import State
from penstock.pipelines.runners.local import StepRun

POLL_SECONDS = 5.0
BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Waits between attempts at a server that does not answer: one minute in all."""

Outcome = Literal["succeeded", "failed", "stopped"]
_ENDS: dict[str, Outcome] = {
    "SUCCEEDED": "succeeded",
    "SKIPPED": "succeeded",
    "FAILED": "failed",
    "CANCELED": "stopped",
}
_STATES: dict[str, State] = {"ran": "ran", "cached": "cached", "failed": "failed", "stopped": "interrupted"}


class Observer(Protocol):
    """Told what happens; what shows a local run's progress is one."""

    def started(self, step: str) -> None:
        """A step runs."""

    def step_status(self, step: str, text: str) -> None:
        """What a step does now."""

    def step_note(self, step: str, text: str) -> None:
        """Something worth keeping."""

    def finished(self, step: StepRun) -> None:
        """A step ended."""


class Source(Protocol):
    """Where a run is asked about: Kubeflow or Vertex AI.

    Attributes:
        later: What the user types to follow the run later.
        stop: And what to stop it.
    """

    later: str
    stop: str

    def look(self) -> tuple[str, Mapping[str, Progress], str | None]:
        """Return the run's state in KFP's words, what is known of each step, and the API's words on a failure.

        Raises:
            PenstockError: It cannot be asked.
        """

    def log(self, pod: str) -> str | None:
        """Return the end of a pod's log, where it can be had."""


@dataclass(frozen=True)
class Followed:
    """How a run ended.

    Attributes:
        outcome: The run's own.
        steps: One entry a step.
        error: What the API says of the whole run, where it says something.
    """

    outcome: Outcome
    steps: tuple[StepRun, ...]
    error: str | None = None


def follow(
    source: Source,
    observer: Observer,
    say: Callable[[str], None],
    *,
    poll: float = POLL_SECONDS,
    sleep: Callable[[float], object] = time.sleep,
) -> Followed:
    """Report a run's steps until it has ended.

    Args:
        source: The run.
        observer: Told about the steps.
        say: Prints a line about the run as a whole.
        poll: Seconds between two questions.
        sleep: Waits.

    Raises:
        PenstockError: The server stays away or lets us in no more; the run goes on, and the error says so.
    """
    return _Follower(source, observer, say, poll, sleep).run()


class _Follower:
    def __init__(
        self,
        source: Source,
        observer: Observer,
        say: Callable[[str], None],
        poll: float,
        sleep: Callable[[float], object],
    ) -> None:
        self._source = source
        self._observer = observer
        self._say = say
        self._poll = poll
        self._sleep = sleep
        self._shown: dict[str, str] = {}
        self._ended: dict[str, StepRun] = {}

    def run(self) -> Followed:
        while True:
            state, steps, error = self._look()
            for progress in steps.values():
                self._show(progress)
            if state in _ENDS:
                return self._finish(_ENDS[state], steps, error)
            self._sleep(self._poll)

    def _look(self) -> tuple[str, Mapping[str, Progress], str | None]:
        for attempt, delay in enumerate((*BACK_OFF_SECONDS, None), 1):
            try:
                return self._source.look()
            except NoAnswer as error:
                if delay is None:
                    raise self._gone_on(error, "the server stays away") from error
                self._say(f"the server does not answer; attempt {attempt + 1} in {delay:.0f} s")
                self._sleep(delay)
            except EnvironmentProblem as error:
                raise self._gone_on(error, error.what) from error
        raise AssertionError("the last attempt returns or raises")

    def _gone_on(self, error: PenstockError, what: str) -> EnvironmentProblem:
        first = "" if isinstance(error, NoAnswer) or not error.hint else f"{error.hint}; then "
        return EnvironmentProblem(
            f"{what}; the run goes on without being followed",
            where=error.where,
            received=error.received,
            hint=f"{first}follow it again: {self._source.later}",
        )

    def _show(self, progress: Progress) -> None:
        step = progress.step
        if progress.phase == "waiting" or step in self._ended or self._shown.get(step) == progress.phase:
            return
        if step not in self._shown:
            self._observer.started(step)
        self._shown[step] = progress.phase
        if progress.ended:
            self._end(self._step_run(progress))
        else:
            self._observer.step_status(step, "waits for its container" if progress.phase == "pending" else "runs")

    def _step_run(self, progress: Progress) -> StepRun:
        error = failure(progress, self._source.log) if progress.phase == "failed" else None
        return StepRun(
            progress.step, "", _STATES[progress.phase], progress.seconds, error=error, reason=progress.reason
        )

    def _finish(self, outcome: Outcome, steps: Mapping[str, Progress], error: str | None) -> Followed:
        failed = next((name for name, run in self._ended.items() if run.state == "failed"), None)
        reasons = {"succeeded": "the API says nothing of it", "stopped": "the run was stopped"}
        reason = reasons.get(outcome) or (f"{failed} failed" if failed else "the run has ended")
        for name in steps:
            if name not in self._ended:
                self._end(StepRun(name, "", "interrupted" if name in self._shown else "not run", reason=reason))
        return Followed(outcome, tuple(self._ended[name] for name in steps), error)

    def _end(self, run: StepRun) -> None:
        self._ended[run.name] = run
        self._observer.finished(run)
