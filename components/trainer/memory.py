"""How much memory this process may still take. Imports no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_LIMITS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
"""Limit and use by the files of cgroups, version 2 and version 1, as a container sees them."""


def free_memory(cgroups: Path = _CGROUPS) -> int:
    """Return the bytes of memory that are free: of the machine, or of this container where it may have less."""
    free = [int(psutil.virtual_memory().available)]
    for limit, used in _LIMITS:
        most, taken = _number(cgroups / limit), _number(cgroups / used)
        if most is not None and taken is not None:
            free.append(max(0, most - taken))
    return min(free)


def _number(file: Path) -> int | None:
    """Return what a file holds; None where there is none, or no limit (``max``)."""
    if not file.is_file():
        return None
    text = file.read_text(encoding="ascii").strip()
    return int(text) if text.isdigit() else None
