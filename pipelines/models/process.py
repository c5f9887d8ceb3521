"""A server as a process of ours: started, interrupted in an orderly way, and what it says in its log."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

_SHOWN_LINES = 12
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "1", "GRPC_VERBOSITY": "ERROR"}
"""Less of TensorFlow's notes about the machine, unless the environment asks for them."""
_ERROR = re.compile(r"^(?:\S+ \S+ ERROR \S+: |error: |\S+ \S+: E tensorflow_serving/\S+ )(?P<told>.*)")
"""An error in the log of the embedded server, of its command line, or of the official server."""


class ServerProcess:
    """A server that was started; made by :func:`started`."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, asked: Sequence[int]) -> None:
        self.pid = process.pid
        self._process = process
        self._log = log
        self._asked = asked
        self._told: set[str] = set()

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    @property
    def interrupted(self) -> bool:
        """Whether somebody asked it to end."""
        return bool(self._asked)

    def wait(self, seconds: float) -> None:
        """Return when it has ended, or after some seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)

    def code(self) -> int:
        """Wait for its end and return the exit code; as a shell tells it where a signal ended it."""
        code = self._process.wait()
        return 128 - code if code < 0 else code

    def new_errors(self) -> list[str]:
        """Return the errors in its log that were not there at the last call; what it repeats comes once."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        found = dict.fromkeys(match["told"] for match in map(_ERROR.match, lines) if match)
        new = [told for told in found if told not in self._told]
        self._told.update(new)
        return new

    def last_lines(self) -> str:
        """Return the end of its log, indented."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_SHOWN_LINES:]) or "  (none)"


@contextlib.contextmanager
def started(command: Sequence[str], log: Path) -> Iterator[ServerProcess]:
    """Run a server that drains: what would end us makes it end, and we wait for it; a second time ends it at once.

    The log is begun anew, so that it holds what this server said.
    """
    asked: list[int] = []
    processes: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM if len(asked) == 1 else signal.SIGKILL)

    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        # In a group of its own: a terminal's Ctrl-C reaches us alone, and the server gets one signal, not two.
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603  No shell.
                command, process_group=0, env={**_QUIET, **os.environ}, stdout=output, stderr=subprocess.STDOUT
            )
        processes.append(process)
        if asked:
            process.terminate()
        yield ServerProcess(process, log, asked)
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
        for number, handler in before.items():
            signal.signal(number, handler)
