"""Kills pushes until there were enough: ``python -m benchmarks.kill_pusher [--runs N] [--versions N]``.

Each push of a small SavedModel, with labels, batching parameters and old versions to remove, is ended at one of its
writes, flushes, renames or removals, by SIGKILL or for want of space, all points in turn; and some at any moment. All
the while a reader loads whatever numeric folder it sees, as TensorFlow Serving does. Then 16 processes push the same
versions at the same moment.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError
from penstock.serving.manifest import verify
from penstock.serving.versions import versions
from tests.components.pusher.conftest import save_model
from tests.components.pusher.faults import Fault, Forks, forks
from tests.components.pusher.racing import race
from tests.components.pusher.reader import Reader
from tests.components.pusher.whole import push_config, require_whole

_FAULTS: tuple[Fault, ...] = ("kill", "full disk", "moment")
_PROCESSES = 16


@dataclass
class Findings:
    """What came of the runs.

    Args:
        ended: How the runs ended, counts.
        points: Points that an undisturbed push passes, a count.
        wrong: What must not be.
    """

    ended: Counter[str] = field(default_factory=Counter)
    points: int = 0
    wrong: list[str] = field(default_factory=list)


def attack(pusher: Forks, model: Path, base: Path, runs: int, draw: random.Random) -> Findings:
    """Push ``runs`` times, end each push in its own way, and look at what is left."""
    config = push_config(base)
    findings = Findings()
    undisturbed = 0.0
    for _ in range(4):
        began = time.monotonic()
        findings.points = pusher.push(model, config).points
        undisturbed = time.monotonic() - began
    for run in range(runs):
        fault = _FAULTS[run % len(_FAULTS)]
        in_turn, at_random = run // len(_FAULTS) % findings.points, draw.uniform(0, undisturbed * 1e6)
        outcome = pusher.push(model, config, fault, int(at_random) if fault == "moment" else in_turn)
        told = outcome.error is not None
        findings.ended[f"{fault}: {'killed' if outcome.killed else 'told' if told else 'went on'}"] += 1
        if told and "No space left on device" not in str(outcome.error):
            findings.wrong.append(str(outcome.error))
        try:
            require_whole(base)
        except (AssertionError, PenstockError) as error:
            findings.wrong.append(f"after run {run}, {fault}: {error}")
    return findings


def racing(model: Path, base: Path, count: int) -> dict[str, Any]:
    """Let processes push the same versions and count who won and who was told."""
    began = time.monotonic()
    result = race(model, base, _PROCESSES, count)
    for number in versions(base):
        verify(base / str(number))
    return {
        "processes": _PROCESSES,
        "versions": count,
        "winners": sum(result.winners.values()),
        "versions_with_one_winner": sum(winners == 1 for winners in result.winners.values()),
        "losers_told": sum(result.told.values()),
        "other_ends": result.others,
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> int:
    """Run and print the findings as JSON; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Kill pushes, and let processes race.")
    parser.add_argument("--runs", type=int, default=1000, help="pushes that are ended, a count (default 1000)")
    parser.add_argument("--versions", type=int, default=500, help="versions to race for, a count (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="for the random moments (default 1)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, forks() as pusher:
        folder = Path(name)
        model, base = save_model(folder / "model"), folder / "serving" / "digits"
        base.mkdir(parents=True)
        began = time.monotonic()
        with Reader(base) as reader:
            findings = attack(pusher, model, base, arguments.runs, random.Random(arguments.seed))
        seconds = round(time.monotonic() - began, 1)
        raced = racing(model, folder / "race", arguments.versions)
    whole_race = raced["versions_with_one_winner"] == arguments.versions and not raced["other_ends"]
    wrong = [*findings.wrong, *reader.complaints]
    report = {
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "runs": arguments.runs,
        "points_of_a_push": findings.points,
        "ended": dict(sorted(findings.ended.items())),
        "versions_loaded_by_the_reader": len(reader.loaded),
        "looks_of_the_reader": reader.looks,
        "partial_versions_seen": len(reader.complaints),
        "wrong": wrong,
        "seconds": seconds,
        "race": raced,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(wrong) or not whole_race)


if __name__ == "__main__":
    sys.exit(main())
