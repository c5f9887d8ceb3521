"""Runs a cluster on this machine: a process a task, watched until the training is over."""

from __future__ import annotations

import selectors
import signal
import time
from collections.abc import Callable
from typing import Self

from penstock.components.trainer.cluster.error_files import read_error
from penstock.components.trainer.cluster.failures import Failure, died, failed_with, root_cause
from penstock.components.trainer.cluster.process import Program, TaskProcess
from penstock.components.trainer.cluster.reporting import Report, relay
from penstock.components.trainer.cluster.topology import Cluster, Task

# The peers of a task that dies may notice it at once, and be the first to end.
_SETTLE_SECONDS = 1.5
# Short: a task that has started TensorFlow's coordination service catches SIGTERM and goes on.
_GRACE_SECONDS = 0.5
_TICK_SECONDS = 0.1


def run_cluster(
    make_cluster: Callable[[], Cluster], program: Program, *, max_restarts: int = 0, report: Report = relay
) -> None:
    """Run a program as every task of a cluster, until the training is over.

    That is when all training tasks (the chief where there are parameter servers, else the chief and the workers) have
    ended well; the others, which never end by themselves, are ended then. The first failure ends all tasks, unless
    they may be started again: workers beside parameter servers in their places, while the others go on; in any other
    case all tasks, as a new cluster. The program goes on from its last checkpoint by itself. Faults of the config,
    the data and the user's code are never tried again.

    However this function is left, and however this process ends, no task is left behind.

    Args:
        make_cluster: Returns a cluster on free ports of this machine; called for each start of all tasks.
        program: What the tasks run.
        max_restarts: How often tasks that failed are started again, a count over the whole run.
        report: Called at once with what the tasks report, and with each restart.

    Raises:
        PenstockError: What the task that failed first said; EnvironmentProblem if it died without a word. See
            :func:`~penstock.components.trainer.cluster.failures.root_cause` for which counts when several fail.
    """
    restarts = _Restarts(max_restarts, report)
    while True:
        with _Crew(make_cluster(), program, restarts, report) as crew:
            failure = crew.watch()
        if failure is None:
            return
        restarts.spend(failure, "all tasks start again")


class _Restarts:
    """How often tasks were started again, and may be."""

    def __init__(self, most: int, report: Report) -> None:
        self._most = most
        self._report = report
        self._used = 0

    def __str__(self) -> str:
        return f"restart {self._used} of {self._most}" if self._used else "first start"

    def spend(self, failure: Failure, consequence: str) -> None:
        """Count one restart because of ``failure``.

        Raises:
            PenstockError: The failure's error, if trying again is of no use or no restart is left.
        """
        if not failure.retriable:
            raise failure.error
        if self._used == self._most:
            advice = (
                f"max_restarts: {self._most} was not enough"
                if self._most
                else "max_restarts lets tasks that died go on from the last checkpoint"
            )
            failure.error.hint = f"{failure.error.hint}; {advice}"
            raise failure.error
        self._used += 1
        self._report(failure.task, "note", f"{failure.reason}; {consequence}, {self}")


class _Crew:
    """The processes of one start of a cluster; leaving the context ends them all."""

    def __init__(self, cluster: Cluster, program: Program, restarts: _Restarts, report: Report) -> None:
        self._cluster = cluster
        self._program = program
        self._restarts = restarts
        self._report = report
        self._running: dict[Task, TaskProcess] = {}
        self._done: set[Task] = set()
        self._failures: list[Failure] = []
        self._settled_at = 0.0
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._ask_to_end()
        finally:
            for process in self._running.values():
                process.collect()
                process.close()
            self._selector.close()

    def watch(self) -> Failure | None:
        """Start all tasks; return None when the training is over, or the failure after which all must start again.

        Raises:
            PenstockError: A task cannot be started, or must not be started again in its place.
        """
        for task in self._cluster.tasks:
            self._start(task)
        while not self._done.issuperset(self._cluster.training_tasks):
            self._poll()
            if self._failures and self._settled():
                if not all(self._replaceable(failure.task) for failure in self._failures):
                    return root_cause(self._failures)
                self._replace()
        return None

    def _start(self, task: Task) -> None:
        title = f"{task} at {self._cluster.address(task)}, {self._restarts}"
        process = TaskProcess.start(task, self._cluster, self._program, title)
        self._running[task] = process
        self._selector.register(process.reports, selectors.EVENT_READ, process)

    def _poll(self) -> None:
        """Wait a moment for reports and ends of tasks, and take note of them."""
        for key, _ in self._selector.select(_TICK_SECONDS):
            self._forward(key.data)
        for process in [process for process in self._running.values() if process.has_ended()]:
            self._take_end(process)

    def _forward(self, process: TaskProcess) -> None:
        for kind, text in process.reports.messages():
            self._report(process.task, kind, text)
        if process.reports.ended and process.reports in self._selector.get_map():
            # A closed pipe is always ready: the selector would never wait again.
            self._selector.unregister(process.reports)

    def _take_end(self, process: TaskProcess) -> None:
        task = process.task
        exit_code = process.collect()
        self._forward(process)
        if process.reports in self._selector.get_map():
            self._selector.unregister(process.reports)
        process.close()
        del self._running[task]
        told = read_error(self._program.error_file(task))
        if told is not None:
            self._failed(failed_with(task, told, process.log))
        elif exit_code == 0 and task in self._cluster.training_tasks:
            self._done.add(task)
        else:
            self._failed(died(task, exit_code, process.log))

    def _failed(self, failure: Failure) -> None:
        if not self._failures:
            self._settled_at = time.monotonic() + _SETTLE_SECONDS
        self._failures.append(failure)

    def _settled(self) -> bool:
        """Whether no failure is to be expected any more that could be the cause of those known."""
        certain = any(failure.certain for failure in self._failures)
        return certain or not self._running or time.monotonic() >= self._settled_at

    def _replaceable(self, task: Task) -> bool:
        # The coordinator of parameter-server training gives a lost worker's steps to others and takes it back.
        return self._cluster.has_servers and task.type == "worker"

    def _replace(self) -> None:
        failures, self._failures = self._failures, []
        for failure in failures:
            self._restarts.spend(failure, "it starts again while the others go on")
            self._start(failure.task)

    def _ask_to_end(self) -> None:
        """Ask all tasks to end, and wait a moment until they have."""
        for process in self._running.values():
            process.signal(signal.SIGTERM)
        deadline = time.monotonic() + _GRACE_SECONDS
        while time.monotonic() < deadline and not all(process.has_ended() for process in self._running.values()):
            time.sleep(0.02)
