"""A run whose worker process is gone ends, instead of waiting for ever."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from penstock.components.batch_inference.shards import InputFile, Shard
from penstock.components.batch_inference.store import FolderStore
from penstock.components.batch_inference.watch import Patience, watched, whoami
from penstock.components.batch_inference.work import Work, begin
from penstock.errors import EnvironmentProblem

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


@pytest.mark.parametrize("case", ["alive", "finished", "elsewhere", "not begun"])
def test_workers_that_are_not_gone(work, case):
    if case == "alive":
        _begun_by(work, os.getpid())
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
