"""One run at a time on a root."""

import os
import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata.owners import Owner
from penstock.pipelines.runners import lock
from penstock.pipelines.runners.lock import _outlast_workers, hold

HOLDER = """
import sys
import threading
from pathlib import Path
from penstock.pipelines.runners.lock import hold
with hold(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_run(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_run_is_refused_and_told_who(tmp_path, other_run):
    message = rf"another run uses this root \(process {other_run.pid}, since "
    with pytest.raises(EnvironmentProblem, match=message), hold(tmp_path, wait=False):
        pass


def test_a_refused_run_does_not_free_the_root(tmp_path, other_run):
    for _ in range(2):
        with pytest.raises(EnvironmentProblem, match="another run uses this root"), hold(tmp_path, wait=False):
            pass


def test_waiting_gets_the_root_when_the_other_ends(tmp_path, other_run):
    told = []

    def tell(text):
        told.append(text)
        other_run.stdin.close()

    with hold(tmp_path, wait=True, tell=tell):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".penstock.lock").read_text()
    (text,) = told
    assert re.fullmatch(
        rf"waiting for another run that uses this root \(process {other_run.pid}, since \d\d:\d\d:\d\d\)", text
    )


def test_a_killed_run_holds_nothing(tmp_path, other_run):
    other_run.kill()
    other_run.wait()
    with hold(tmp_path, wait=False):
        pass


LEAVER = """
import os, sys, time
from pathlib import Path
from penstock.pipelines.runners.lock import hold
with hold(Path(sys.argv[1]), wait=False):
    if os.fork() == 0:
        # Like a tool that a step left behind: it has all that its parent had open.
        print("left", flush=True)
        sys.stdin.read()
        os._exit(0)
    time.sleep(600)
"""


@contextmanager
def _left_behind(root):
    """A run that is killed; a process of it lives on until its input is closed."""
    command = [sys.executable, "-c", LEAVER, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "left\n"
        process.kill()
        process.wait()
        yield process


def test_what_outlives_a_killed_run_by_a_moment_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LINGER_SECONDS", 240)
    with _left_behind(tmp_path) as process:
        ending = threading.Timer(0.5, process.stdin.close)
        ending.start()
        with hold(tmp_path, wait=False):
            assert f'"pid": {os.getpid()}' in (tmp_path / ".penstock.lock").read_text()
        ending.join()


def test_what_outlives_it_for_long_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LINGER_SECONDS", 0.1)
    with _left_behind(tmp_path) as process:
        message = rf"another run uses this root \(process {process.pid}, since "
        with pytest.raises(EnvironmentProblem, match=message), hold(tmp_path, wait=False):
            pass


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EnvironmentProblem, match="the root is a file, not a folder"),
        hold(tmp_path / "file", wait=False),
    ):
        pass


def test_the_identity_of_a_lock_stays_with_its_root(tmp_path):
    identities = []
    for folder in ("one", "one", "two"):
        with hold(tmp_path / folder, wait=False) as identity:
            identities.append(identity)
    assert identities[0] == identities[1] != identities[2]


@pytest.mark.parametrize("text", ["", "torn", "0" * 31 + "\n", '{"pid": 1, "since": 1.0}'])
def test_a_lock_file_without_an_identity_gets_one(tmp_path, text):
    (tmp_path / ".penstock.lock").write_text(text)
    with hold(tmp_path, wait=False) as first:
        pass
    with hold(tmp_path, wait=False) as second:
        assert re.fullmatch("[0-9a-f]{32}", first)
        assert first == second


WORKER = """
import sys, time
from pathlib import Path
from penstock.pipelines.runners.lock import working
from penstock.metadata.owners import Owner
with working(Owner.from_text(sys.argv[1])):
    print("works", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def _work(owner, seconds):
    command = [sys.executable, "-c", WORKER, owner.text, str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_next_run_waits_for_workers_that_outlive_their_command(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "_LINGER_SECONDS", 240)
    with hold(tmp_path, wait=False) as identity:
        owner = Owner.here("p", str(tmp_path), identity)
        with _work(owner, 1) as worker:
            assert worker.stdout.readline() == "works\n"
            _outlast_workers(tmp_path / ".penstock.workers")
            # It has left the block; its interpreter may still be ending.
            assert worker.wait(240) == 0


def test_a_worker_of_a_run_that_is_over_does_nothing(tmp_path):
    with hold(tmp_path, wait=False) as identity:
        owner = replace(Owner.here("p", str(tmp_path), identity), started=1)
    with _work(owner, 0) as worker:
        output, errors = worker.communicate(timeout=240)
    assert output == ""
    assert "the run that started this step is over" in errors
