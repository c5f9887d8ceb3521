"""Times and durations as people read them."""

from __future__ import annotations

from datetime import datetime

_SECONDS = ((3600, "h", 60, "min"), (60, "min", 1, "s"))


def moment(milliseconds: int) -> str:
    """Return a time since 1970, in the local zone."""
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return how long something took, in the two largest units."""
    for size, unit, smaller_size, smaller in _SECONDS:
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:.0f} {unit} {rest // smaller_size:.0f} {smaller}"
    return f"{seconds:.1f} s"
