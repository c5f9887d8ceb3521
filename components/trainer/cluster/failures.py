"""Tasks that failed: why, and which of several failures is the cause of the others."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from penstock.components.trainer.cluster.error_files import TaskError
from penstock.components.trainer.cluster.topology import Task
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError, UserCodeError

_SENT_BY_SOMEBODY = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
_LONGEST_SHOWN = 200


class Cause(IntEnum):
    """Why a task ended; the lower, the less another task's end can be behind it."""

    KILLED = 0
    USERS_FAULT = 1
    OWN_TROUBLE = 2
    UNEXPLAINED = 3
    PEER_LOST = 4


@dataclass(frozen=True)
class Failure:
    """A task that ended with an error, or before the training did.

    Args:
        task: The task.
        cause: Why it ended.
        reason: The same for people, as the end of a sentence about the task.
        error: What is raised if the training ends because of it.
    """

    task: Task
    cause: Cause
    reason: str
    error: PenstockError

    @property
    def retriable(self) -> bool:
        """Whether the task may succeed when it is started again: not if the config, the data or the code is wrong."""
        return self.cause is not Cause.USERS_FAULT

    @property
    def certain(self) -> bool:
        """Whether no other task's failure can be behind this one."""
        return self.cause <= Cause.USERS_FAULT


@dataclass(frozen=True)
class TaskLog:
    """What one start of a task wrote to its log.

    Args:
        path: The log, which has earlier starts too.
        start: Where this start's output begins, in bytes.
    """

    path: Path
    start: int

    def last_lines(self, count: int = 5) -> list[str]:
        """Return the last lines that are not empty: at most ``count``, out of the last 4 KiB, long ones cut."""
        with self.path.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(self.start, end - 4096))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
        return [_shown(line) for line in lines if line.strip()][-count:]


def failed_with(task: Task, told: TaskError, log: TaskLog) -> Failure:
    """Return the failure of a task that left an error."""
    return told_by(task, told, hint=f"see {log.path}")


def told_by(task: Task, told: TaskError, *, hint: str) -> Failure:
    """Return the failure of a task that left an error, with ``hint`` where the error has none."""
    error = told.error
    error.where = error.where or str(task)
    error.hint = error.hint or hint
    if told.peer_lost:
        cause = Cause.PEER_LOST
    elif isinstance(error, UserCodeError | ConfigError | ArtifactError):
        cause = Cause.USERS_FAULT
    else:
        cause = Cause.OWN_TROUBLE
    return Failure(task, cause, f"failed: {error.what}", error)


def died(task: Task, exit_code: int, log: TaskLog) -> Failure:
    """Return the failure of a task that left no error. A signal's number is a negative ``exit_code``."""
    reason = _ending(exit_code)
    lines = log.last_lines()
    error = EnvironmentProblem(
        f"{task} {reason}",
        received="\n    ".join(["these last lines of its log:", *lines]) if lines else "no output",
        hint=f"see {log.path}",
    )
    return Failure(task, _cause(exit_code), reason, error)


def root_cause(failures: Sequence[Failure]) -> Failure:
    """Return the failure that the others follow from.

    When a mirrored worker dies, TensorFlow raises ``UnavailableError`` in its peers: at once when a connection breaks
    (worker 0 died), else about 10 s later, when heartbeats are missed (both measured with 2.21). So the first to end is
    not always the cause. What a peer's death cannot bring about ranks first:

    1. ended by a signal that somebody sent, such as SIGKILL for lack of memory: no task sends one to another;
    2. what is wrong with the config, the data or the user's code;
    3. any other error that the task tells, and crashes such as SIGSEGV;
    4. an end without an error;
    5. what the task itself calls the consequence of a peer's loss.

    Among equals the first to end is chosen.
    """
    return min(failures, key=lambda failure: failure.cause)


def _cause(exit_code: int) -> Cause:
    if -exit_code in _SENT_BY_SOMEBODY:
        return Cause.KILLED
    return Cause.OWN_TROUBLE if exit_code < 0 else Cause.UNEXPLAINED


def _ending(exit_code: int) -> str:
    if exit_code == -signal.SIGKILL:
        return "was killed (SIGKILL: out of memory, or somebody ended it)"
    if exit_code < 0:
        return f"was ended by signal {_signal_name(-exit_code)}"
    if exit_code == 0:
        return "ended before the training did"
    return f"ended with exit code {exit_code} and left no error"


def _shown(line: str) -> str:
    return line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)  # Real-time signals have no name of their own.
