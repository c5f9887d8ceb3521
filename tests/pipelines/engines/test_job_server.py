"""A job server as a process of ours: waited for, watched, and gone at the end, whatever ends us."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.errors import EnvironmentProblem
from penstock.pipelines.engines.job_server import JobServer, running
from tests.ports import free_port

LISTEN = """
import signal, socket, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
print("child", child.pid, flush=True)
server = socket.create_server(("localhost", int(sys.argv[1])))
time.sleep(300)
"""
TROUBLE = """
print("starting")
print("Exception in thread main java.lang.IllegalArgumentException: no such option")
print("  at org.apache.beam.Main")
raise SystemExit(1)
"""
OURS = """
import sys, time
from pathlib import Path
from penstock.pipelines.engines.job_server import running
with running([sys.executable, "-c", sys.argv[1], sys.argv[2]], "localhost:" + sys.argv[2], Path(sys.argv[3])) as server:
    print(server.pid, flush=True)
    time.sleep(300)
"""


@pytest.fixture
def port():
    return free_port()


def _command(script, *arguments):
    return [sys.executable, "-c", script, *map(str, arguments)]


def _gone(pid):
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True  # Nobody reaps it here, and it runs no more.
        time.sleep(0.05)
    return False


def test_it_accepts_jobs_inside_and_leaves_nothing(tmp_path, port):
    log = tmp_path / "logs" / "job-server.log"
    with running(_command(LISTEN, port), f"localhost:{port}", log) as server:
        server.require_running()
        socket.create_connection(("localhost", port)).close()
    child = int(log.read_text().split()[1])
    assert _gone(server.pid)
    assert _gone(child)


def test_it_ends_at_once(tmp_path, port):
    log = tmp_path / "job-server.log"
    with pytest.raises(EnvironmentProblem) as raised, running(_command(TROUBLE), f"localhost:{port}", log):
        pass
    assert str(raised.value) == (
        f"localhost:{port}: the job server ended with exit code 1\n"
        "  received: Exception in thread main java.lang.IllegalArgumentException: no such option\n"
        f"  next: see {log}"
    )


def test_its_program_is_not_there(tmp_path, port):
    log = tmp_path / "log"
    with (
        pytest.raises(EnvironmentProblem, match="the job server ended with exit code 127") as raised,
        running([str(tmp_path / "java")], f"localhost:{port}", log),
    ):
        pass
    assert raised.value.received == f"{tmp_path / 'java'}: No such file or directory"


def test_it_is_killed_while_steps_run(tmp_path, port):
    with running(_command(LISTEN, port), f"localhost:{port}", tmp_path / "log") as server:
        os.kill(server.pid, signal.SIGKILL)
        assert _gone(server.pid)
        with pytest.raises(EnvironmentProblem, match="the job server was ended by SIGKILL"):
            server.require_running()


def test_it_takes_too_long(tmp_path, port):
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command("import time; print('still reading', flush=True); time.sleep(300)"), process_group=0, stdout=output
        )
    server = JobServer(process, f"localhost:{port}", log)
    try:
        with pytest.raises(EnvironmentProblem, match="does not accept jobs after 0 s"):
            server.wait_until_ready(seconds=0)
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_us(tmp_path, port, number):
    log = tmp_path / "log"
    with subprocess.Popen(_command(OURS, LISTEN, port, log), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ours:
        assert ours.stdout
        server = int(ours.stdout.readline())
        ours.send_signal(number)
        assert _gone(server)
