"""Why a step failed is in ML Metadata, whatever ended it, and the questions tell it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.metadata.openlineage import Naming, events
from penstock.metadata.owners import LEFT_BEHIND
from penstock.metadata.reader import Reader
from penstock.metadata.runs import Step, read_run
from penstock.metadata.scan import Scan
from tests.conftest import REPOSITORY
from tests.pipelines.runners.killing import Kind, Order, Outcome, Runs, runs

PIPELINE = """
pipeline: failing
root: runs
steps:
  fail: {component: tests.pipelines.runners.failing_steps.fail, with: {how: raise, token: "${env.FAILING_TOKEN}"}}
"""
TOKEN = "not for the store"


class Failing:
    """A project whose pipeline fails as it is told to."""

    def __init__(self, folder: Path, forks: Runs) -> None:
        self.sqlite = folder / "runs/metadata.sqlite"
        self.outputs = folder / "runs/fail/model"
        self.working = folder / "runs/fail/.system/stateful_working_dir"
        self._forks = forks
        (folder / "pyproject.toml").touch()
        self._file = folder / "failing.yaml"
        self._file.write_text(PIPELINE)

    def run(self, how: str, kind: Kind = "none") -> Outcome:
        """Run; what is to be ended is ended when the step is at work."""
        order = Order(str(self._file), (f"steps.fail.with.how={how}",), kind, 0.5, after="runs/fail/model/*/half")
        return self._forks.run(order)

    def last(self) -> Step:
        """Return what the store says of the step in the newest run."""
        reader = Reader(self.sqlite, "failing")
        (step,) = read_run(reader, reader.newest_runs(1)[0]).steps
        return step


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Failing]:
    folder = tmp_path_factory.mktemp("failing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("FAILING_TOKEN", TOKEN)
        with runs(folder / "log") as forks:
            project = folder / "project"
            project.mkdir()
            yield Failing(project, forks)


RAISED = "your code raised ValueError: no such column with token '(from the environment variable FAILING_TOKEN)'"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("raise", RAISED),
        ("leave", "your code raised SystemExit: nothing to do"),
        ("memory", "your code raised MemoryError: cannot allocate 4 GB"),
        ("die", "the process was killed (SIGKILL: out of memory, or somebody ended it)"),
        ("abort", "the process was ended by signal SIGABRT"),
    ],
)
def test_the_reason_is_what_the_terminal_shows(failing, how, reason):
    outcome = failing.run(how)
    assert outcome.states == {"fail": "failed"}, outcome
    step = failing.last()
    assert step.state == "failed"
    assert step.reason.endswith(reason)
    told = " ".join((outcome.error or "").replace(TOKEN, "(from the environment variable FAILING_TOKEN)").split())
    assert told.startswith(step.reason)
    assert list(failing.outputs.iterdir()) == []
    assert list(failing.working.iterdir()) == []


def test_a_run_that_was_interrupted(failing):
    assert failing.run("wait", "interrupt").states == {"fail": "interrupted"}
    step = failing.last()
    assert (step.state, step.reason) == ("failed", "the run was interrupted")


def test_a_run_that_was_killed_is_closed_by_the_next(failing):
    failing.run("wait", "all")
    killed = failing.last()
    assert (killed.state, killed.reason) == (
        "failed",
        "its process is gone: killed, or the machine stopped; the next run closes it",
    )
    failing.run("raise")
    ends = [
        event for event in events(Scan(failing.sqlite, "failing"), Naming()) if event["job"]["name"] == "failing.fail"
    ]
    errors = [event["run"]["facets"]["errorMessage"]["message"] for event in ends if event["eventType"] == "FAIL"]
    assert errors[-2:] == [LEFT_BEHIND, failing.last().reason]


def test_no_value_of_the_environment_is_in_a_reason(failing):
    failing.run("raise")
    reader = Reader(failing.sqlite, "failing")
    reasons = [read_run(reader, run).steps[0].reason for run in reader.newest_runs(100)]
    assert all(reasons)
    assert not [reason for reason in reasons if TOKEN in reason]
