from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from penstock.components.trainer.cluster.lifeline import end_with_parent
from tests.components.trainer.cluster.tasks import FOREVER, Tasks, wait_until

PARENT = """
import sys
from pathlib import Path
from penstock.components.trainer.cluster.launcher import run_cluster
from penstock.components.trainer.cluster.process import Program
from penstock.components.trainer.cluster.topology import Cluster
folder = Path(sys.argv[1])
command = [sys.executable, str(folder / "program.py"), str(folder)]
program = Program(command, {}, folder / "logs" / "trainer", folder / "errors")
cluster = Cluster({"worker": ("a:1", "b:1", "c:1", "d:1")})
run_cluster(lambda: cluster, program)
"""
# Catastrophic backtracking: no Python code of the process runs any more, in any thread.
HOLDS_THE_LOCK = "import re; re.match('(a+)+$', 'a' * 60 + 'b')"
WITH_A_CHILD = f"""
child = subprocess.Popen(["sleep", "600"])
with (folder / "child.pids").open("a") as file: file.write(str(child.pid))
{FOREVER}
"""
STOPPED = "os.kill(os.getpid(), signal.SIGSTOP)"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV], ids=lambda number: number.name)
def test_no_task_outlives_its_parent(tasks: Tasks, how: int) -> None:
    tasks.write(worker_0=FOREVER, worker_1=HOLDS_THE_LOCK, worker_2=WITH_A_CHILD, worker_3=STOPPED)
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tasks.folder)], start_new_session=True) as parent:
        wait_until(lambda: len(tasks.alive()) == 5)
        os.killpg(parent.pid, how)
    wait_until(lambda: tasks.alive() == [])


def test_a_parent_that_is_gone_already() -> None:
    reader, writer = os.pipe()
    os.close(writer)
    code = "from penstock.components.trainer.cluster.lifeline import end_with_parent; end_with_parent(); print('alive')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PENSTOCK_LIFELINE_FD": str(reader)},
        pass_fds=[reader],
        start_new_session=True,
        capture_output=True,
        check=False,
    )
    os.close(reader)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


def test_a_process_that_nobody_watches() -> None:
    environ = {"HOME": "/"}
    end_with_parent(environ)
    assert environ == {"HOME": "/"}
