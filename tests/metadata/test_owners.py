"""Who started an execution, and whether that is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest

from penstock.metadata.choose import choose_run
from penstock.metadata.owners import LEFT_BEHIND, is_gone, root_of
from penstock.metadata.reader import Reader
from penstock.metadata.runs import list_runs, read_run
from penstock.processes import machine, started
from tests.metadata.history import History


def owner(pid, **other):
    said = {"pipeline": "digits", "root": "/r", "lock": "l", "machine": machine(), "pid": pid, "started": started(pid)}
    return {"penstock_owner": json.dumps(said | other)}


@pytest.fixture
def ended():
    """Return the id of a process that was here."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_a_process_that_lives():
    assert not is_gone(owner(os.getpid()))


def test_one_that_has_ended(ended):
    assert is_gone(owner(ended, started=1))


def test_an_id_that_is_used_again():
    assert is_gone(owner(os.getpid(), started=1))


@pytest.mark.parametrize(
    "properties", [{}, {"penstock_owner": "no JSON"}, {"penstock_owner": "[]"}, {"penstock_owner": "{}"}]
)
def test_what_says_no_owner_may_live(properties):
    assert not is_gone(properties)
    assert root_of(properties) == ""


def test_only_its_own_machine_can_tell(ended):
    assert not is_gone(owner(ended, machine="another"))
    assert root_of(owner(ended)) == "/r"


def test_a_run_that_was_killed_is_not_running(tmp_path, ended):
    history = History(tmp_path / "m.sqlite")
    history.begin("a", pipeline="digits", steps='["examples", "trainer"]')
    history.step("a", "examples", state="RUNNING", **owner(ended, started=1))
    reader = Reader(history.file, "digits")
    (line,) = list_runs(reader, 1)
    assert (line.state, dict(line.steps)) == ("failed", {"failed": 1, "not run": 1})
    step = read_run(reader, choose_run(reader, "a")).steps[0]
    assert (step.state, step.reason) == (
        "failed",
        "its process is gone: killed, or the machine stopped; the next run closes it",
    )
    history.step("a", "examples", state="RUNNING", **owner(os.getpid()))
    assert list_runs(reader, 1)[0].state == "running"
    before = read_run(reader, choose_run(reader, "a"))
    time.sleep(0.01)
    after = read_run(reader, choose_run(reader, "a"))
    assert 0 <= before.steps[0].seconds < after.steps[0].seconds
    assert before.seconds < after.seconds


def test_how_long_what_a_later_run_closed_ran_is_not_known(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.begin("a", pipeline="digits")
    history.step("a", "examples", state="RUNNING")
    history.step("a", "trainer", state="RUNNING")
    time.sleep(0.05)
    executions = history.store.get_executions()
    for execution in executions:
        execution.last_known_state = execution.FAILED
        execution.custom_properties["penstock_reason"].string_value = LEFT_BEHIND
        history.store.put_executions([execution])
    reader = Reader(history.file, "digits")
    run = read_run(reader, choose_run(reader, "a"))
    assert [step.seconds for step in run.steps] == [0, 0]
    assert run.seconds == (max(one.create_time_since_epoch for one in executions) - run.started) / 1000
