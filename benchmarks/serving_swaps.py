"""What a change of versions costs those who ask, and how long it takes: swaps, publishing, promotion and rollback."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving_load import Answer, Load
from benchmarks.serving_models import NAME
from benchmarks.serving_processes import ServerProcess
from penstock.components.pusher.publish import publish
from penstock.serving.client import Client
from penstock.serving.versions import versions

CLIENTS = 8
LABEL = "stable"
DEMANDED_ROLLBACK_SECONDS = 5
_LONGEST_SECONDS = 180.0
_SETTLE_SECONDS = 2.0
_LOOK_SECONDS = 0.002

Figures = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """A base path, the server that serves its newest version, and two models to publish there in turn."""

    base: Path
    server: ServerProcess
    models: tuple[Path, Path]

    def publish_next(self) -> float:
        """Publish a version and return the seconds from then until the server has it AVAILABLE."""
        published = publish(self.models[len(versions(self.base)) % 2], self.base, "next")
        began = time.perf_counter()
        with Client(grpc=self.server.address) as client:
            client.wait_available(NAME, published.version, 60, sleep=lambda _: time.sleep(_LOOK_SECONDS))
        return time.perf_counter() - began


def swaps(load: Load, place: Place, count: int, rate: int) -> Figures:
    """Compare what callers see while nothing changes with what they see during ``count`` swaps, one after the other."""
    running = load.start_grpc(place.server, CLIENTS, rate, _LONGEST_SECONDS)
    try:
        time.sleep(_SETTLE_SECONDS)
        began = time.time()
        time.sleep(2 * load.seconds)
        changing = time.time()
        for _ in range(count):
            place.publish_next()
        ended = time.time()
        answers = running.end()
    finally:
        running.kill()
    steady = _latencies([answer for answer in answers if began <= answer.at < changing])
    swapping = _latencies([answer for answer in answers if changing <= answer.at < ended])
    return {
        "swaps": count,
        "seconds": round(ended - changing, 1),
        "clients": CLIENTS,
        "requests_per_second": rate,
        "steady": steady,
        "during_swaps": swapping,
        "failed": dict(Counter("failed" for answer in answers if not answer.ok)),
        "p99_vs_steady": round(swapping["p99_ms"] / steady["p99_ms"], 2),
    }


def publications(place: Place, count: int, poll_seconds: float, load_seconds: float) -> Figures:
    """Time publish → AVAILABLE, without load, at ``count`` moments spread over the server's polling."""
    seconds = []
    for number in range(count):
        seconds.append(place.publish_next())
        time.sleep(poll_seconds * number / count)
    limit = poll_seconds + load_seconds
    return {
        "publications": count,
        "median_seconds": round(statistics.median(seconds), 2),
        "longest_seconds": round(max(seconds), 2),
        "poll_seconds": poll_seconds,
        "load_seconds": round(load_seconds, 3),
        "longest_vs_limit": round(max(seconds) / limit, 2),
        "median_vs_limit": round(statistics.median(seconds) / (poll_seconds / 2 + load_seconds), 2),
    }


def write_config(base: Path, version: int) -> Path:
    """Write a ``models.config`` beside a base path that serves one version under a label, and return its path."""
    from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy

    config = base.parent / "models.config"
    entry = ModelEntry(NAME, str(base), policy=VersionPolicy("specific", versions=(version,)), labels={LABEL: version})
    ModelsFile(config).update(lambda _: (entry,))
    return config


def moves(load: Load, server: ServerProcess, config: Path, rate: int) -> Figures:
    """Promote version 2 and roll back to 1 with the real commands under load; the label is at version 1 before."""
    running = load.start_grpc(server, CLIENTS, rate, _LONGEST_SECONDS)
    try:
        time.sleep(_SETTLE_SECONDS)
        promotion = _models(["promote", NAME, "2"], config, server)
        rollback = _models(["rollback", NAME], config, server)
        answers = running.end()
    finally:
        running.kill()
    return {
        "promote_seconds": round(promotion, 2),
        "rollback_seconds": round(rollback, 2),
        "demanded_rollback_seconds": DEMANDED_ROLLBACK_SECONDS,
        "answers": sum(answer.ok for answer in answers),
        "failed": dict(Counter("failed" for answer in answers if not answer.ok)),
    }


def _models(arguments: Sequence[str], config: Path, server: ServerProcess) -> float:
    """Run a command of ``penstock models`` and return its wall seconds, Python's start among them."""
    options = ["--label", LABEL, "--grpc", server.address, "--in", str(config), "--json"]
    began = time.perf_counter()
    ended = subprocess.run(
        [sys.executable, "-m", "penstock", "models", *arguments, *options], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if ended.returncode or not json.loads(ended.stdout)["served"]:
        raise SystemExit(f"penstock models {' '.join(arguments)}: {ended.stdout}{ended.stderr}")
    return seconds


def _latencies(answers: Sequence[Answer]) -> Figures:
    taken = sorted(answer.milliseconds for answer in answers)
    if len(taken) < 100:
        raise SystemExit(f"{len(taken)} answers are too few to speak of a p99")
    return {
        "answers": len(taken),
        "p50_ms": round(taken[len(taken) // 2], 3),
        "p99_ms": round(taken[len(taken) * 99 // 100], 3),
        "slowest_ms": round(taken[-1], 1),
    }
