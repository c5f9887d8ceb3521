"""What a run on a cluster says of its tasks → what became of each step. Plain data, no network."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Phase = Literal["waiting", "pending", "running", "ran", "cached", "failed", "stopped"]

_ENDED = ("ran", "cached", "failed", "stopped")
_PHASES: dict[str, Phase] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "PAUSED": "pending",
    "CANCELING": "running",
    "SUCCEEDED": "ran",
    "SKIPPED": "cached",
    "FAILED": "failed",
    "CANCELED": "stopped",
}
_EXECUTOR = re.compile(r"executor(\(\d+\))?")
_NEVER = datetime(1971, 1, 1, tzinfo=UTC)
"""Times before this are how the API writes "not yet"."""


@dataclass(frozen=True)
class Progress:
    """What is known of one step now.

    Attributes:
        step: Its name.
        phase: What it does, or how it ended.
        seconds: Wall seconds from its first task's start to its last one's end; 0 where they are not known.
        error: The API's own words on a failure, where it has any.
        pod: The pod that failed; its log may be asked for.
        reason: What the phase alone does not say.
    """

    step: str
    phase: Phase = "waiting"
    seconds: float = 0.0
    error: str | None = None
    pod: str | None = None
    reason: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.phase in _ENDED


def progress_of(tasks: Sequence[Any], steps: Mapping[str, str]) -> dict[str, Progress]:
    """Return what is known of each step, in the order of ``steps``.

    Kubeflow lists the nodes of its workflow: for a step ``trainer`` a ``trainer-driver`` that decides whether an
    earlier result is used, then ``trainer``, and below it one ``executor`` (``executor(0)``… when it is tried again),
    which is skipped where the result was there. The state of ``trainer`` alone does not tell the two apart.

    Args:
        tasks: ``V2beta1PipelineTaskDetail``, as many as there are by now.
        steps: Task name in the compiled pipeline → step name.
    """
    nodes = _Nodes(tasks)
    return {step: nodes.progress(task, step) for task, step in steps.items()}


class _Nodes:
    def __init__(self, tasks: Sequence[Any]) -> None:
        self._by_name: dict[str, Any] = {}
        self._by_id: dict[str, Any] = {}
        for task in tasks:
            self._by_name.setdefault(task.display_name or "", task)
            for name in (task.pod_name, task.task_id):
                if name:
                    # A pod's name and the id that its parent calls it by end with the same number, and differ before.
                    self._by_id.setdefault(name, task)
                    self._by_id.setdefault(name.rpartition("-")[2], task)

    def progress(self, name: str, step: str) -> Progress:
        driver, task = self._by_name.get(f"{name}-driver"), self._by_name.get(name)
        found = [node for node in (driver, task) if node is not None]
        if driver is not None and driver.state == "FAILED" and (task is None or task.state != "SUCCEEDED"):
            reason = "its driver failed before the step's own container"
            return Progress(step, "failed", _seconds(found), _error(driver), driver.pod_name, reason)
        if task is None or task.state in (None, "RUNTIME_STATE_UNSPECIFIED"):
            return Progress(step, "pending" if driver is not None else "waiting")
        phase = _PHASES.get(task.state, "running")
        executors = self._executors(task)
        if phase == "ran" and executors and all(node.state == "SKIPPED" for node in executors):
            phase = "cached"
        if phase == "running" and executors and all(node.state == "PENDING" for node in executors):
            phase = "pending"
        if phase != "failed":
            return Progress(step, phase, _seconds(found))
        failed = [node for node in executors if node.state == "FAILED"] or [task]
        error = next((said for node in (*failed, task) if (said := _error(node))), None)
        return Progress(step, phase, _seconds(found), error, failed[-1].pod_name)

    def _executors(self, task: Any) -> list[Any]:
        """Return the executors of a task.

        An executor's children are its attempts, and the drivers of the steps that come after.
        """
        found: list[Any] = []
        left = [task]
        while left:
            for child in left.pop().child_tasks or ():
                name = child.task_id or child.pod_name or ""
                node = self._by_id.get(name) or self._by_id.get(name.rpartition("-")[2])
                if node is not None and _EXECUTOR.fullmatch(node.display_name or "") and node not in found:
                    found.append(node)
                    left.append(node)
        return found


def _error(node: Any) -> str | None:
    """Return the API's words on a failure: the task's own, or those of the newest state that has some."""
    errors = [node.error, *(state.error for state in reversed(node.state_history or ()))]
    return next((error.message.strip() for error in errors if error is not None and error.message), None)


def _seconds(nodes: Sequence[Any]) -> float:
    starts = [time for node in nodes if (time := node.start_time) and time > _NEVER]
    ends = [time for node in nodes if (time := node.end_time) and time > _NEVER]
    return max(0.0, (max(ends) - min(starts)).total_seconds()) if starts and ends else 0.0
