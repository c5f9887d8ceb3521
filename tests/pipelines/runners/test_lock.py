"""One run at a time on a root."""

import os
import subprocess
import sys
import threading

import pytest

from penstock.errors import EnvironmentProblem
from penstock.pipelines.runners.lock import hold

HOLDER = """
import sys
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
    ending = threading.Timer(0.2, other_run.stdin.close)
    ending.start()
    with hold(tmp_path, wait=True):
        assert f'"pid": {os.getpid()}' in (tmp_path / ".penstock.lock").read_text()
    ending.join()


def test_a_killed_run_holds_nothing(tmp_path, other_run):
    other_run.kill()
    other_run.wait()
    with hold(tmp_path, wait=False):
        pass


def test_a_file_is_no_root(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EnvironmentProblem, match="the root is a file, not a folder"),
        hold(tmp_path / "file", wait=False),
    ):
        pass
