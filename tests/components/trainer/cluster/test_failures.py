from __future__ import annotations

import signal
from pathlib import Path

import pytest

from penstock.components.trainer.cluster.error_files import TaskError
from penstock.components.trainer.cluster.failures import Cause, Failure, TaskLog, died, failed_with, root_cause
from penstock.components.trainer.cluster.topology import Task
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem, PenstockError, UserCodeError

WORKER = Task("worker", 1)


@pytest.fixture
def log(tmp_path: Path) -> TaskLog:
    path = tmp_path / "worker-1.log"
    path.write_bytes(b"earlier start\n--- title ---\n")
    return TaskLog(path, path.stat().st_size)


def write(log: TaskLog, text: bytes) -> None:
    with log.path.open("ab") as file:
        file.write(text)


class TestDied:
    @pytest.mark.parametrize(
        ("exit_code", "reason", "cause"),
        [
            (-signal.SIGKILL, "was killed (SIGKILL: out of memory, or somebody ended it)", Cause.KILLED),
            (-signal.SIGTERM, "was ended by signal SIGTERM", Cause.KILLED),
            (-signal.SIGSEGV, "was ended by signal SIGSEGV", Cause.OWN_TROUBLE),
            (-signal.SIGABRT, "was ended by signal SIGABRT", Cause.OWN_TROUBLE),
            (-40, "was ended by signal 40", Cause.OWN_TROUBLE),
            (0, "ended before the training did", Cause.UNEXPLAINED),
            (3, "ended with exit code 3 and left no error", Cause.UNEXPLAINED),
        ],
    )
    def test_endings(self, log: TaskLog, exit_code: int, reason: str, cause: Cause) -> None:
        failure = died(WORKER, exit_code, log)
        assert (failure.reason, failure.cause, failure.retriable) == (reason, cause, True)
        assert str(failure.error) == f"worker 1 {reason}\n  received: no output\n  next: see {log.path}"


class TestFailedWith:
    @pytest.mark.parametrize("error", [UserCodeError("x"), ConfigError("x"), ArtifactError("x")])
    def test_faults_of_the_user(self, log: TaskLog, error: PenstockError) -> None:
        failure = failed_with(WORKER, TaskError(error), log)
        assert failure == Failure(WORKER, Cause.USERS_FAULT, "failed: x", error)
        assert not failure.retriable

    @pytest.mark.parametrize("error", [EnvironmentProblem("x"), PenstockError("x")])
    def test_other_errors(self, log: TaskLog, error: PenstockError) -> None:
        failure = failed_with(WORKER, TaskError(error), log)
        assert failure == Failure(WORKER, Cause.OWN_TROUBLE, "failed: x", error)
        assert failure.retriable

    def test_a_lost_peer_is_no_fault_whatever_the_error(self, log: TaskLog) -> None:
        failure = failed_with(WORKER, TaskError(UserCodeError("x"), peer_lost=True), log)
        assert (failure.cause, failure.retriable, failure.certain) == (Cause.PEER_LOST, True, False)


class TestRootCause:
    @staticmethod
    def failure(index: int, cause: Cause) -> Failure:
        return Failure(Task("worker", index), cause, "", PenstockError(""))

    def test_ranks(self) -> None:
        failures = [self.failure(index, cause) for index, cause in enumerate(reversed(Cause))]
        ranked = []
        while failures:
            ranked.append(root_cause(failures))
            failures.remove(ranked[-1])
        assert [failure.cause.name for failure in ranked] == [
            "KILLED",
            "USERS_FAULT",
            "OWN_TROUBLE",
            "UNEXPLAINED",
            "PEER_LOST",
        ]

    def test_the_first_among_equals(self) -> None:
        first, second = self.failure(1, Cause.KILLED), self.failure(0, Cause.KILLED)
        assert root_cause([first, second]) is first

    def test_only_causes_that_nothing_can_be_behind_are_certain(self) -> None:
        assert [cause.name for cause in Cause if self.failure(0, cause).certain] == ["KILLED", "USERS_FAULT"]


class TestTaskLog:
    def test_last_lines_of_this_start(self, log: TaskLog) -> None:
        write(log, b"one\n\ntwo\n")
        assert log.last_lines() == ["one", "two"]

    def test_no_more_than_asked_for(self, log: TaskLog) -> None:
        write(log, b"".join(b"line %d\n" % number for number in range(10_000)))
        assert log.last_lines(2) == ["line 9998", "line 9999"]

    def test_long_lines_are_cut(self, log: TaskLog) -> None:
        write(log, b"x" * 200 + b"\n" + b"y" * 201)
        assert log.last_lines() == ["x" * 200, "y" * 200 + "…"]

    def test_any_bytes(self, log: TaskLog) -> None:
        write(log, b"\xff\xfe no text")
        assert log.last_lines() == ["\ufffd\ufffd no text"]
