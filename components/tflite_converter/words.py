"""Figures in words."""

from __future__ import annotations


def bytes_text(size: float) -> str:
    """Return a size in decimal units, as ``200kB`` in a config is read."""
    for unit, scale in (("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.4g} {unit}"
    return f"{size:g} bytes"


def drop_text(drop: float) -> str:
    """Return how much worse a metric is, in words."""
    if drop == 0:
        return "the same"
    return f"{drop:.4g} worse" if drop > 0 else f"{-drop:.4g} better"


def threads_text(threads: int) -> str:
    """Return ``1 thread`` or ``2 threads``."""
    return f"{threads} thread{'' if threads == 1 else 's'}"
