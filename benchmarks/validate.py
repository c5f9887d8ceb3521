"""What ``penstock validate`` costs cold: ``python -m benchmarks.validate [--rounds N] [FILE]``.

Beside the limit of any Python command, ``python -c pass``, alternating in one run. Each is a process of its own; the
files are in the page cache after a first, uncounted round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
DEMANDED = {"seconds": 0.5, "megabytes": 80}
# Not ru_maxrss, which counts the process that a child was forked from.
PEAK = "import atexit, sys; atexit.register(lambda: sys.stderr.write(open('/proc/self/status').read()))"
VALIDATE = (
    "; import runpy; sys.argv = ['penstock', 'validate', {file!r}]; runpy.run_module('penstock', run_name='__main__')"
)


def seconds(arguments: Sequence[str]) -> float:
    """Run Python with ``arguments`` and return its wall seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def peak_megabytes(code: str) -> float:
    """Run Python code and return the peak of its resident memory, in 10**6 bytes."""
    command = [sys.executable, "-c", PEAK + code]
    ended = subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True)
    found = re.search(r"VmHWM:\s*(\d+) kB", ended.stderr)
    if found is None:
        raise SystemExit(f"no VmHWM in /proc/self/status: {ended.stderr}")
    return int(found[1]) * 1024 / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    """Run both in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.validate", description=__doc__)
    parser.add_argument("file", nargs="?", default="configs/digits.yaml", help="the pipeline file")
    parser.add_argument("--rounds", type=int, default=15, help="timed runs of each")
    arguments = parser.parse_args(argv)
    commands = {"validate": ["-m", "penstock", "validate", arguments.file], "limit": ["-c", "pass"]}
    codes = {"validate": VALIDATE.format(file=arguments.file), "limit": ""}
    walls: dict[str, list[float]] = {name: [] for name in commands}
    for counted in (False, *[True] * arguments.rounds):
        for name, command in commands.items():
            wall = seconds(command)
            walls[name] += [wall] if counted else []
    medians = {name: statistics.median(figures) for name, figures in walls.items()}
    peaks = {name: peak_megabytes(code) for name, code in codes.items()}
    figures = {
        name: {
            "median_seconds": round(medians[name], 3),
            "fastest_seconds": round(min(walls[name]), 3),
            "slowest_seconds": round(max(walls[name]), 3),
            "peak_megabytes": round(peaks[name], 1),
        }
        for name in commands
    }
    print(
        json.dumps(
            {
                "workload": f"penstock validate {arguments.file}, beside python -c pass",
                "rounds": arguments.rounds,
                "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
                **figures,
                "vs_limit": {
                    "seconds": round(medians["validate"] / medians["limit"], 1),
                    "megabytes": round(peaks["validate"] / peaks["limit"], 1),
                },
                "demanded": DEMANDED,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
