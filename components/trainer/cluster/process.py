"""One task of a cluster as a process: its log, its pipes, its end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from penstock.components.trainer.cluster.error_files import ERROR_VARIABLE
from penstock.components.trainer.cluster.failures import TaskLog
from penstock.components.trainer.cluster.lifeline import LIFELINE_VARIABLE
from penstock.components.trainer.cluster.reporting import REPORT_VARIABLE, ReportReader
from penstock.components.trainer.cluster.topology import Cluster, Task
from penstock.errors import EnvironmentProblem

_Process = subprocess.Popen[bytes]


@dataclass(frozen=True)
class Program:
    """What the tasks of a cluster run.

    Args:
        command: The program and its arguments, the same for all; it finds its task in ``TF_CONFIG``. It should call
            :func:`~penstock.components.trainer.cluster.lifeline.end_with_parent` first of all.
        environment: All environment variables that it sees, besides those that tell it its task.
        logs: What the logs' paths begin with: worker 0 appends to ``<logs>-worker-0.log``.
        error_files: Folder for the errors of tasks that fail, ``worker-0.json``.
    """

    command: Sequence[str]
    environment: Mapping[str, str]
    logs: Path
    error_files: Path

    def log(self, task: Task) -> Path:
        """Return the path of a task's log."""
        return self.logs.with_name(f"{self.logs.name}-{task.slug}.log")

    def error_file(self, task: Task) -> Path:
        """Return the path of the error that a task may leave."""
        return self.error_files / f"{task.slug}.json"


class TaskProcess:
    """A running task, in a session and process group of its own.

    Args:
        task: The task.
        process: Its process.
        log: Where its output goes.
        reports: What it shows on the terminal.
        descriptors: The launcher's ends of its pipes; closing them ends a task that runs.
    """

    def __init__(
        self,
        task: Task,
        process: _Process,
        log: TaskLog,
        reports: ReportReader,
        descriptors: ExitStack,
    ) -> None:
        self.task = task
        self.log = log
        self.reports = reports
        self._process = process
        self._descriptors = descriptors

    @classmethod
    def start(cls, task: Task, cluster: Cluster, program: Program, title: str) -> TaskProcess:
        """Start a task.

        Args:
            task: The task.
            cluster: What it belongs to.
            program: What it runs.
            title: What its log says before the task's own output.

        Raises:
            EnvironmentProblem: The program cannot be started.
        """
        error_file = program.error_file(task)
        error_file.unlink(missing_ok=True)
        with ExitStack() as ours, ExitStack() as theirs:
            log, output = _open_log(program.log(task), title, theirs)
            report_reader, report_writer = _pipe(reader=ours, writer=theirs)
            lifeline_reader, _ = _pipe(reader=theirs, writer=ours)
            environment = {
                **program.environment,
                "TF_CONFIG": cluster.tf_config(task),
                ERROR_VARIABLE: str(error_file.absolute()),
                REPORT_VARIABLE: str(report_writer),
                LIFELINE_VARIABLE: str(lifeline_reader),
            }
            process = _spawn(program.command, environment, output, (report_writer, lifeline_reader))
            return cls(task, process, log, ReportReader(report_reader), ours.pop_all())

    def has_ended(self) -> bool:
        """Whether the process has ended; it keeps its number, and its group, until :meth:`collect`."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def signal(self, number: int) -> None:
        """Send a signal to the task and all that it started; does nothing after :meth:`collect`."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, number)

    def collect(self) -> int:
        """End the task and all that it started, and return its exit code; a signal's number is negative."""
        self.signal(signal.SIGKILL)
        return self._process.wait()

    def close(self) -> None:
        """Close the pipes to the task."""
        self._descriptors.close()


def _spawn(command: Sequence[str], environment: Mapping[str, str], output: int, pipes: Sequence[int]) -> _Process:
    try:
        return subprocess.Popen(  # noqa: S603  The command is the Trainer's own, and no shell reads it.
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=pipes,
            start_new_session=True,
        )
    except OSError as error:
        raise EnvironmentProblem(
            f"the tasks of the cluster cannot be started: {error.strerror}", received=shlex.join(command)
        ) from error


def _open_log(path: Path, title: str, owner: ExitStack) -> tuple[TaskLog, int]:
    """Open a log for appending and write the line that a start begins with."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = owner.enter_context(path.open("ab", buffering=0))
    now = datetime.now(UTC).astimezone().isoformat(sep=" ", timespec="seconds")
    file.write(f"--- {title}, {now} ---\n".encode())
    return TaskLog(path, file.tell()), file.fileno()


def _pipe(*, reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """Make a pipe whose ends are closed with the stacks that own them."""
    ends = os.pipe()
    for end, owner in zip(ends, (reader, writer), strict=True):
        owner.callback(os.close, end)
    return ends
