"""Runs a command that ends with the process that started it: ``python with_parent.py PID COMMAND…``, PID being that.

A program of its own, since what may run between a fork and its exec in a process that has started gRPC is nothing:
gRPC's threads come back in the child, find their descriptors closed, and abort it. It imports nothing of Penstock.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NOT_FOUND = 127


def main(parent: int, command: list[str]) -> int:
    """Become the command; return only where that cannot be, with the exit code of a shell."""
    # Kept over the exec.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 1  # It ended before that was said, and nobody waits for this.
    try:
        os.execvp(command[0], command)  # noqa: S606  No shell.
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _NOT_FOUND


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
