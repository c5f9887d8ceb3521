"""Beam's job server for Flink or Spark, as a process of ours: one for all steps of a run.

Beam's runner would start one a step, a Java process and a cluster in it each. The server takes jobs from the steps,
and gives them to the cluster, or runs them itself where no cluster is named.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.errors import EnvironmentProblem
from penstock.pipelines.engines import with_parent

READY_SECONDS = 120.0
"""How long a job server may take until it accepts jobs; 3 s are usual, 15 s were seen on a busy machine."""

_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.05
_TROUBLE = re.compile(r"Exception|Error|ERROR|Invalid or corrupt|no main manifest")


@contextmanager
def running(command: Sequence[str], endpoint: str, log: Path) -> Iterator[JobServer]:
    """Run a job server while the block lasts; nothing of it is left afterwards, whatever ends the block.

    Args:
        command: What starts it.
        endpoint: ``host:port`` that it will listen on.
        log: Where its output goes.

    Raises:
        EnvironmentProblem: It does not start.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # In a group of its own: a terminal's Ctrl-C ends the steps first, which say goodbye to it.
        process = subprocess.Popen(  # noqa: S603  No shell.
            [sys.executable, "-I", "-S", with_parent.__file__, str(os.getpid()), *command],
            process_group=0,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = JobServer(process, endpoint, log)
    try:
        server.wait_until_ready()
        yield server
    finally:
        server.stop()


class JobServer:
    """A job server that was started; made by :func:`running`."""

    def __init__(self, process: subprocess.Popen[bytes], endpoint: str, log: Path) -> None:
        self.endpoint = endpoint
        self.log = log
        self.pid = process.pid
        self._process = process

    def wait_until_ready(self, seconds: float = READY_SECONDS) -> None:
        """Return as soon as it accepts connections.

        Raises:
            EnvironmentProblem: It has ended, or takes too long.
        """
        host, _, port = self.endpoint.rpartition(":")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.require_running()
            with suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
                return
            time.sleep(_POLL_SECONDS)
        raise EnvironmentProblem(
            f"the job server does not accept jobs after {seconds:.0f} s",
            where=self.endpoint,
            received=self._last_trouble(),
            hint=f"see {self.log}",
        )

    def require_running(self) -> None:
        """Do nothing while it runs.

        Raises:
            EnvironmentProblem: It has ended.
        """
        code = self._process.poll()
        if code is not None:
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            raise EnvironmentProblem(
                f"the job server {how}", where=self.endpoint, received=self._last_trouble(), hint=f"see {self.log}"
            )

    def stop(self) -> None:
        """End it: ask, wait, then kill its process group."""
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def _last_trouble(self) -> str | None:
        """Return the last line of the log that looks like an error, or its last line at all."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("at ")]
        return next((line for line in reversed(told) if _TROUBLE.search(line)), told[-1] if told else None)
