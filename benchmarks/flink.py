"""What Flink costs on one machine: ``python -m benchmarks.flink [--rows N] [--rounds N] [--jar PATH]``.

The same rows are scored with the same SavedModel by ``penstock infer``: directly, and on the Flink inside the job
server with parallelism 1 and 2, each in a process of its own, in another order each round. The predictions of all are
compared. ``job`` is from the first shard to the last, ``command`` is the whole command: imports, Java, the job server.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.batch_inference_data import export_dense, write_rows

CONTENDERS = {
    "direct": [],
    "flink_1": ["--runner", "flink", "--beam", "parallelism=1"],
    "flink_2": ["--runner", "flink", "--beam", "parallelism=2"],
}
FLINK = "1.20"

Figures = dict[str, Any]


def run(name: str, folder: Path, jar: str | None) -> tuple[float, float]:
    """Score all rows, and return the seconds of the job and of the whole command."""
    output = folder / name
    shutil.rmtree(output, ignore_errors=True)
    extra = CONTENDERS[name]
    if extra:
        extra = [*extra, "--beam", f"flink_job_server_jar={jar}" if jar else f"flink_version={FLINK}"]
    files = [*("--model", str(folder / "model")), *("--input", str(folder / "rows" / "*.gz"))]
    outputs = [*("--output", str(output)), *("--output-format", "parquet"), *("--include", "id"), "--json"]
    began = time.monotonic()
    command = [sys.executable, "-m", "penstock", "infer", *files, *outputs, *extra]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    return float(json.loads(ended.stdout)["seconds"]), seconds


def predictions(output: Path) -> Any:
    """Return the results of a run as one table, in the order of the rows' numbers."""
    import pyarrow.parquet as pq

    return pq.read_table(sorted(output.glob("prediction.results-*"))).sort_by("id")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flink", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to score")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    parser.add_argument("--jar", help=f"Beam's job server for Flink; else that for Flink {FLINK} from Maven Central")
    arguments = parser.parse_args(argv)
    jar = os.path.abspath(arguments.jar) if arguments.jar else None  # noqa: PTH100  A link stays one.
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in CONTENDERS}
    names = list(CONTENDERS)
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        folder = Path(name)
        write_rows(folder / "rows", arguments.rows)
        export_dense(folder / "model")
        for number in range(arguments.rounds):
            first = number % len(names)
            for contender in names[first:] + names[:first]:
                found[contender].append(run(contender, folder, jar))
        tables = {contender: predictions(folder / contender) for contender in CONTENDERS}
    different = [contender for contender, table in tables.items() if not table.equals(tables["direct"])]
    if different or tables["direct"].num_rows != arguments.rows:
        raise SystemExit(f"other predictions than the direct runner's: {', '.join(different) or 'rows are missing'}")
    figures = {contender: _figures(runs, arguments.rows) for contender, runs in found.items()}
    direct = figures["direct"]
    for contender in names[1:]:
        figures[contender]["vs_direct"] = round(direct["job_seconds"] / figures[contender]["job_seconds"], 3)
        figures[contender]["vs_direct_command"] = round(
            direct["command_seconds"] / figures[contender]["command_seconds"], 3
        )
    setting = {
        "workload": f"{arguments.rows} rows of 64 floats, gzip TFRecords in 4 files, Dense 64, softmax of 10, Parquet",
        "rounds": arguments.rounds,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "load_at_the_end": round(os.getloadavg()[0], 2),
    }
    print(json.dumps({**setting, **figures, "same_predictions": True}))
    return 0


def _figures(runs: Sequence[tuple[float, float]], rows: int) -> Figures:
    job = statistics.median(job for job, _ in runs)
    return {
        "rows_per_second": round(rows / job),
        "job_seconds": round(job, 2),
        "command_seconds": round(statistics.median(command for _, command in runs), 2),
    }


if __name__ == "__main__":
    sys.exit(main())
