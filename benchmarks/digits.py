"""The digits pipeline, Penstock beside plain TFX, fresh and cached: ``python -m benchmarks.digits [--rounds N]``.

Both read the same shards and run the same nine steps, the last of which scores the held-out rows: BatchInference here,
BulkInferrer there. Ours is timed as a whole command, its summary and its questions to the pushed model included; plain
TFX from its first import to the end of LocalDagRunner.
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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


def ours(root: Path) -> Figures:
    """Run configs/digits.yaml on ``root`` and return its seconds: in all, for the imports and build, and per step."""
    settings = {
        "root": root / "ours",
        "steps.examples.with.input_base": root / "data",
        "steps.evaluator.with.eval_config.slicing_specs": "[{}]",
    }
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    start = time.monotonic()
    report = _last_json([sys.executable, "-m", "penstock", "run", "configs/digits.yaml", "--json", *options])
    steps = {step["name"]: round(step["seconds"], 2) for step in report["steps"]}
    states = sorted({step["state"] for step in report["steps"]})
    total = time.monotonic() - start
    return {"total": total, "imports": report["start_up_seconds"], "steps": steps, "states": states}


def peer(root: Path) -> Figures:
    """Run the same pipeline with TFX's LocalDagRunner."""
    report = _last_json([sys.executable, "-m", "benchmarks.peer_digits", str(root)])
    return {"total": report["total_seconds"], "imports": report["import_seconds"], "steps": report["step_seconds"]}


def _last_json(command: list[str]) -> Figures:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    text = ended.stdout
    report: Figures = json.loads(text if text.startswith("{") else text.splitlines()[-1])
    return report


def _median(runs: list[Figures], key: str) -> float:
    return round(float(statistics.median(run[key] for run in runs)), 2)


def _summary(runs: list[Figures]) -> Figures:
    total, imports = _median(runs, "total"), _median(runs, "imports")
    return {
        "total_seconds": total,
        "import_seconds": imports,
        "import_share": round(imports / total, 2),
        "step_seconds": runs[-1]["steps"],
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run both in turn, fresh and again, and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="fresh and cached runs of each")
    rounds = parser.parse_args(argv).rounds
    runs: dict[str, list[Figures]] = {name: [] for name in ("ours", "peer", "ours_cached", "peer_cached")}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as folder:
            root = Path(folder)
            runs["peer"].append(peer(root))
            runs["ours"].append(ours(root))
            runs["peer_cached"].append(peer(root))
            runs["ours_cached"].append(ours(root))
    if any(run["states"] != ["cached"] for run in runs["ours_cached"]):
        raise SystemExit("a step of the second run was not cached")
    summaries = {name: _summary(figures) for name, figures in runs.items()}
    pairs = {"vs_peer": ("ours", "peer"), "vs_peer_cached": ("ours_cached", "peer_cached")}
    ratios = {
        key: round(summaries[left]["total_seconds"] / summaries[right]["total_seconds"], 2)
        for key, (left, right) in pairs.items()
    }
    workload = (
        "1,797 digits, 9 steps, 5 epochs of batch 64; peer: plain TFX with LocalDagRunner, the same steps, with "
        "BulkInferrer for BatchInference"
    )
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(json.dumps({"workload": workload, "rounds": rounds, "machine": machine, **summaries, **ratios}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
