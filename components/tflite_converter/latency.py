"""How long a call takes: all models in turn in one process, so that what disturbs one disturbs all."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

import numpy as np

from penstock.components.tflite_converter.result import Latency

Key = TypeVar("Key", bound=Hashable)
FEWEST = 5
"""Timed calls that are made however slow a model is, a count."""


def time_in_turn(
    calls: Mapping[Key, Callable[[], object]],
    *,
    warm_up: int,
    runs: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Key, Latency]:
    """Time each call ``runs`` times, one of each in every round.

    Args:
        calls: What to time, by name.
        warm_up: Rounds that are not timed, a count.
        runs: Rounds that are timed, a count, at most.
        seconds: The timed rounds end after so long, once there were :data:`FEWEST`.
        clock: Seconds from any beginning.
    """
    for _ in range(warm_up):
        for call in calls.values():
            call()
    taken: dict[Key, list[float]] = {name: [] for name in calls}
    end = clock() + seconds
    for number in range(runs):
        if number >= FEWEST and clock() >= end:
            break
        for name, call in calls.items():
            began = clock()
            call()
            taken[name].append((clock() - began) * 1e6)
    return {name: _latency(times) for name, times in taken.items()}


def _latency(times: list[float]) -> Latency:
    p50, p90 = np.percentile(times, [50, 90])
    return Latency(float(p50), float(p90), len(times))
