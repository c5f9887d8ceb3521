"""A run whose worker process is gone ends, instead of waiting for ever."""

import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from penstock.components.batch_inference.shards import InputFile, Shard
from penstock.components.batch_inference.store import FolderStore
from penstock.components.batch_inference.watch import Patience, watched, whoami
from penstock.components.batch_inference.work import Work, begin
from penstock.errors import EnvironmentProblem
from penstock.processes import started

SHARD = Shard(0, InputFile("/data/rows.csv", "rows.csv", "csv", False, 10, 0))  # noqa: FBT003
SOON = Patience(every=0.01, longest=0.05)


@pytest.fixture
def work(tmp_path):
    found = Work(FolderStore(str(tmp_path)), 1, ".jsonl")
    begin(found, "fingerprint")
    return found


def _begun_by(work, pid, **changed):
    work.write_progress(0, {"rows": 0, "errors": 0, "bytes": 0, **whoami(), "pid": pid, **changed})


def _dead():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
        return process.pid


def test_a_worker_that_is_gone(work):
    before = signal.getsignal(signal.SIGUSR1)
    _begun_by(work, _dead())
    with pytest.raises(EnvironmentProblem) as raised, watched(work, [SHARD], SOON):
        threading.Event().wait(60)
    assert str(raised.value) == (
        "/data/rows.csv: a worker process has ended in the middle\n"
        "  next: was it killed, or out of memory? lower `max_rows`, and run again: what is finished is kept"
    )
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_worker_whose_id_is_used_again(work):
    _begun_by(work, os.getpid(), started=1)
    with pytest.raises(EnvironmentProblem, match="has ended in the middle"), watched(work, [SHARD], SOON):
        threading.Event().wait(60)


def test_a_worker_that_nobody_has_asked_how_it_ended(work):
    """Until somebody does, its id is kept."""
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        _begun_by(work, process.pid, started=started(process.pid))
        process.stdin.close()
        with pytest.raises(EnvironmentProblem, match="has ended in the middle"), watched(work, [SHARD], SOON):
            threading.Event().wait(60)


def test_a_run_that_ends_well_at_the_same_moment_has_ended_well(work, monkeypatch):
    before = signal.getsignal(signal.SIGUSR1)
    decided, ending = threading.Event(), threading.Event()
    kill = signal.pthread_kill

    def late(*arguments):
        decided.set()
        assert ending.wait(60)
        kill(*arguments)

    monkeypatch.setattr(signal, "pthread_kill", late)
    _begun_by(work, _dead())
    with watched(work, [SHARD], SOON):
        assert decided.wait(60)
        timer = threading.Timer(0.2, ending.set)
        timer.start()
    timer.join()
    assert signal.getsignal(signal.SIGUSR1) is before


@pytest.mark.parametrize("case", ["alive", "finished", "elsewhere", "not begun", "said by an earlier version"])
def test_workers_that_are_not_gone(work, case):
    if case == "alive":
        _begun_by(work, os.getpid())
    elif case == "said by an earlier version":
        earlier = {"rows": 0, "errors": 0, "bytes": 0, "host": socket.gethostname(), "pid": os.getpid()}
        work.write_progress(0, earlier)
    elif case == "elsewhere":
        _begun_by(work, _dead(), host="another machine")
    elif case == "finished":
        _begun_by(work, _dead())
        work.write_report(0, {})
    with watched(work, [SHARD], SOON):
        threading.Event().wait(0.3)


def test_other_threads_are_not_watched(work):
    _begun_by(work, _dead())
    ended = threading.Event()

    def run():
        with watched(work, [SHARD], SOON):
            threading.Event().wait(0.2)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert ended.is_set()
