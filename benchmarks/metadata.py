"""What the metadata layer costs: ``python -m benchmarks.metadata [--only PART] [--rounds N] [--artifacts N]``.

``questions`` asks each question of a store with ten thousand artifacts; the limit is half a second. ``cache`` and
``writers`` stand in modules of their own: cached steps against history, and eight processes that write at once.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.metadata_store import PIPELINE, Seeded, runs_for, seed

LIMIT_SECONDS = 0.5
PARTS = ("questions", "cache", "writers")


def questions(store: Seeded) -> Mapping[str, Callable[[], object]]:
    """Return each question, as the library answers it: the store is opened anew, nothing is kept in memory."""
    from penstock.errors import ConfigError
    from penstock.metadata.choose import choose_run
    from penstock.metadata.diff import diff_runs
    from penstock.metadata.lineage import lineage
    from penstock.metadata.mermaid import mermaid
    from penstock.metadata.provenance import provenance
    from penstock.metadata.reader import Reader
    from penstock.metadata.reasons import Situation, changes
    from penstock.metadata.runs import list_runs, read_run
    from penstock.metadata.targets import find_artifact

    def reader() -> Reader:
        return Reader(store.sqlite, store.pipeline)

    def diff() -> object:
        opened = reader()
        return diff_runs(*(read_run(opened, choose_run(opened, run)) for run in (store.runs[0], "latest")))

    def why() -> object:
        opened = reader()
        (last,) = opened.newest_of_step("trainer", 1)
        return changes(opened, "trainer", last, Situation({"examples": (1,)}, {"config": "{}"}, {}, {}))

    def traced(what: str) -> Callable[[], object]:
        def ask() -> object:
            opened = reader()
            return lineage(opened, find_artifact(opened, what))

        return ask

    def version() -> object:
        opened = reader()
        return provenance(store.sqlite, find_artifact(opened, f"digits/{len(store.runs)}").id)

    def missing() -> str:
        opened = reader()
        try:
            find_artifact(opened, "digitss/3")
        except ConfigError as error:  # With its closest match it is the answer.
            return str(error)
        raise SystemExit("digitss/3 was found")

    middle = store.runs[len(store.runs) // 2]
    return {
        "runs list": lambda: list_runs(reader(), 20),
        "runs show latest": lambda: read_run(reader(), choose_run(reader(), "latest")),
        "runs show of the middle, by its id": lambda: read_run(reader(), choose_run(reader(), middle)),
        f"runs show latest~{len(store.runs) - 1}": lambda: choose_run(reader(), f"latest~{len(store.runs) - 1}"),
        "runs diff first, latest": diff,
        "lineage of a served version": traced("digits/1"),
        "lineage of data": traced("1"),
        "lineage of a file": traced(f"/runs/{PIPELINE}/trainer/model/7/Format-Serving/saved_model.pb"),
        "lineage as Mermaid": lambda: mermaid(lineage(reader(), find_artifact(reader(), "digits/2"))),
        "why, beside the last run": why,
        "models show": version,
        "a version that is not there": missing,
    }


def ask_all(store: Seeded, rounds: int) -> dict[str, Any]:
    """Ask each question in turn, ``rounds`` times; return medians and the worst, in seconds."""
    seconds: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, ask in questions(store).items():
            began = time.perf_counter()
            ask()
            seconds.setdefault(name, []).append(time.perf_counter() - began)
    answers = {
        name: {"median_seconds": round(statistics.median(found), 4), "worst_seconds": round(max(found), 4)}
        for name, found in seconds.items()
    }
    worst = max(max(found) for found in seconds.values())
    return {
        "answers": answers,
        "worst_seconds": round(worst, 4),
        "limit_seconds": LIMIT_SECONDS,
        "held": worst <= LIMIT_SECONDS,
    }


def command(store: Seeded, rounds: int) -> dict[str, float]:
    """Time whole commands, with Python's start and the imports; beside the start of Python alone."""
    penstock = [sys.executable, "-m", "penstock"]
    where = ["--in", str(store.sqlite)]
    commands = {
        "python -c pass": [sys.executable, "-c", "pass"],
        "penstock runs list": [*penstock, "runs", "list", *where],
        "penstock lineage digits/1": [*penstock, "lineage", "digits/1", *where],
    }
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, words in commands.items():
            began = time.perf_counter()
            subprocess.run(words, check=True, capture_output=True)
            found.setdefault(name, []).append(time.perf_counter() - began)
    return {name: round(statistics.median(seconds), 3) for name, seconds in found.items()}


def measure_questions(folder: Path, *, rounds: int, artifacts: int) -> dict[str, Any]:
    """Seed a store and ask it."""
    began = time.perf_counter()
    store = seed(folder / "metadata.sqlite", runs_for(artifacts))
    seeding = time.perf_counter() - began
    return {
        "artifacts": store.artifacts,
        "executions": store.executions,
        "runs": len(store.runs),
        "seeding_seconds": round(seeding, 1),
        **ask_all(store, rounds),
        "command_median_seconds": command(store, rounds),
    }


def measure(part: str, rounds: int, artifacts: int) -> dict[str, Any] | None:
    """Measure a part in an empty folder; None where its module is not there."""
    name = f"benchmarks.metadata_{part}"
    if part != "questions" and find_spec(name) is None:
        return None
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as folder:
        if part == "questions":
            return measure_questions(Path(folder), rounds=rounds, artifacts=artifacts)
        found: dict[str, Any] = import_module(name).measure(Path(folder), rounds=rounds)
        return found


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the parts and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metadata", description=__doc__)
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be given several times")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured")
    parser.add_argument("--artifacts", type=int, default=10_000, help="size of the store that is asked")
    options = parser.parse_args(argv)
    parts = {part: measure(part, options.rounds, options.artifacts) for part in options.only or PARTS}
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({"machine": machine, "rounds": options.rounds, **parts}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
