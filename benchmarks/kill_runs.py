"""Kills runs of a pipeline until there were enough: ``python -m benchmarks.kill_runs [--kills N] [--seed S]``.

A pipeline of seven light steps (CsvExampleGen, a Resolver, four of its own, the Pusher) is run round by round. Each
round is ended by SIGKILL: the command, one of its workers or all of them, at any moment; or all of them at one of the
points where the run writes to ML Metadata or makes, renames or removes a folder. The next run starts at once. Then
nothing may be RUNNING, nothing may lie on the disk that no execution knows, what had finished must be cached, and what
was made must be what an undisturbed run makes.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.pipelines.runners.killing import runs
from tests.pipelines.runners.surviving import attack, fresh


def main() -> int:
    """Run and print the findings as JSON; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description="Kill runs of a pipeline.")
    parser.add_argument("--kills", type=int, default=200, help="runs that are killed, a count (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="for the moments (default 1)")
    parser.add_argument("--folder", type=Path, help="where to run, emptied first (default: a temporary folder)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no more are killed")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name) / "project"
        began = time.monotonic()
        with runs(Path(name) / "log") as forks:
            killed = fresh(folder, forks)
            findings = attack(killed, arguments.kills, random.Random(arguments.seed), arguments.seconds)
    report = {
        "machine": f"{platform.machine()}, {platform.python_version()}",
        "kills": sum(findings.ended.values()),
        "seed": arguments.seed,
        "points_of_a_run": killed.points,
        "seconds_of_a_run": killed.seconds,
        "ended": dict(sorted(findings.ended.items())),
        "left_running_by_the_kill": dict(sorted(findings.running.items())),
        "wrong": findings.wrong,
        "seconds": round(time.monotonic() - began, 1),
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return int(bool(findings.wrong))


if __name__ == "__main__":
    sys.exit(main())
