"""Whether a process that was written down somewhere still runs."""

from __future__ import annotations

import socket
from functools import cache
from pathlib import Path


@cache
def machine() -> str:
    """Return what names this machine, this boot of it, and the processes that this one can see."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"


def started(pid: int) -> int | None:
    """Return when a process of this machine started, in clock ticks since the boot; None when it has ended.

    A process id is used again; with this number it is not.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]
    return None if state in "ZX" else int(ticks)
