"""How a training's progress reads: numbers, rates and times in as few characters as they need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

_DIGITS = 4
_SMALLEST_FIXED = 1e-6
"""Below this, leading zeros would outnumber the digits: 3.2e-9."""
_LARGEST_FIXED = 1e7
_GAP = "  "


def status_line(
    epoch: tuple[int, int],
    step: tuple[int, int],
    *,
    logs: Mapping[str, float],
    examples_per_second: float,
    seconds_left: float | None,
) -> str:
    """Return the line that is shown while training.

    Args:
        epoch: The epoch that goes on, from 1, and the count of all; a single epoch is not named.
        step: Steps taken of the epoch, and the count of all its steps.
        logs: Loss and metrics so far.
        examples_per_second: Rows trained on in a second.
        seconds_left: Time until the end; None if it is not known.
    """
    parts = [
        "epoch {}/{}".format(*epoch) if epoch[1] > 1 else "",
        "step {}/{}".format(*step),
        *_metrics(logs),
        f"{rate(examples_per_second)} examples/s",
        "" if seconds_left is None else f"{clock(seconds_left)} left",
    ]
    return _GAP.join(part for part in parts if part)


def epoch_line(epoch: int, epochs: int, steps: int, seconds: float, logs: Mapping[str, float]) -> str:
    """Return the line that is logged after an epoch.

    Args:
        epoch: The epoch that ended, from 1.
        epochs: All epochs, a count.
        steps: Steps of the epoch, a count.
        seconds: Time of these steps.
        logs: Loss and metrics of the epoch; ``val_`` before those of the evaluation split.
    """
    return ", ".join([f"epoch {epoch}/{epochs}: {plural(steps, 'step')} in {duration(seconds)}", *_metrics(logs)])


def number(value: float) -> str:
    """Return a loss or metric with up to four significant digits, and never fewer than its whole part has.

    Exponents are used only for values under a millionth and from ten million on.
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}".removeprefix("-0") or "0"
    size = abs(value)
    if not _SMALLEST_FIXED <= size < _LARGEST_FIXED:
        digits, _, exponent = f"{value:.{_DIGITS - 1}e}".partition("e")
        return f"{_trimmed(digits)}e{int(exponent)}"
    return _trimmed(f"{value:.{max(0, _DIGITS - 1 - math.floor(math.log10(size)))}f}")


def rate(value: float) -> str:
    """Return a number per second with three significant digits: ``310k``, ``1.2M``, ``42.5``."""
    return _scaled(value, 1000, ("", "k", "M", "G", "T"))


def size(count: float) -> str:
    """Return bytes as ``4.2 MB``; a kB is 1000 bytes."""
    return _scaled(count, 1000, (" B", " kB", " MB", " GB", " TB"))


def duration(seconds: float) -> str:
    """Return a measured time with two or three digits: ``45 µs``, ``0.31 ms``, ``12 ms``, ``1.5 s``, ``2:05``."""
    if seconds >= 59.95:
        return clock(seconds)
    if seconds >= 0.9995:
        return f"{seconds:.1f} s"
    if seconds >= 0.0000995:
        return f"{_trimmed(_significant(seconds * 1e3, 2))} ms"
    return f"{_trimmed(_significant(seconds * 1e6, 2))} µs"


def clock(seconds: float) -> str:
    """Return a time to wait as ``0:12``, ``12:05`` or ``1:02:05``."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(max(0.0, seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def plural(count: int, noun: str) -> str:
    """Return ``1 step`` or ``2 steps``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _metrics(logs: Mapping[str, float]) -> Iterable[str]:
    """Name the loss first, then the others as Keras orders them."""
    names = sorted(logs, key=lambda name: name != "loss")
    return [f"{name} {number(logs[name])}" for name in names]


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    if not math.isfinite(value):
        return f"{value:.0f}{units[0]}"
    power = 0
    # 999.5 and above would round to 1000 of this unit.
    while abs(value) >= base - 0.5 and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{_trimmed(_significant(value, 3))}{units[power]}"


def _significant(value: float, digits: int) -> str:
    """Return a number with so many significant digits, whole digits always kept."""
    whole = math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, digits - 1 - whole)}f}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text
