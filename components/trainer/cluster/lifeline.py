"""Ends a task when the process that started it is gone, however that ended: no orphan is ever left.

A task inherits the reading end of a pipe whose writing end only its parent holds. When the parent dies, be it by
SIGKILL, the kernel closes the writing end and sends the signal that the task asked for to the task's whole process
group. No thread watches: user code that never gives up the interpreter's lock is ended too.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections.abc import MutableMapping

LIFELINE_VARIABLE = "PENSTOCK_LIFELINE_FD"


def end_with_parent(environ: MutableMapping[str, str] = os.environ) -> None:
    """Tie this process and all that it starts to the process that started it; call it once, before anything else.

    Does nothing in a process that Penstock's launcher did not start. The process must lead its process group.
    """
    number = environ.pop(LIFELINE_VARIABLE, None)
    if number is None:
        return
    lifeline = int(number)
    fcntl.fcntl(lifeline, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # Nothing is ever written: an event means that the parent was gone before the signal was asked for.
    closed = select.poll()
    closed.register(lifeline)
    if closed.poll(0):
        os.killpg(0, signal.SIGKILL)
