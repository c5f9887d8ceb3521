"""Batch inference beside TFX's BulkInferrer and the bare loop: ``python -m benchmarks.batch_inference [--rows N]``.

All read the same files with the same SavedModel, each run in a process of its own, in another order each round; with a
million rows it takes about half an hour. Peer: BulkInferrer on Beam's in-memory runner, which writes PredictionLogs
alone; its predictions are compared with ours, row by row. Limit: TensorFlow reads and batches, the signature answers,
and our own encoders write the same bytes, without checks, errors, manifest and Beam. Seconds are those after the
imports; memory is the most that a process had.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.batch_inference_contenders import Run, run
from benchmarks.batch_inference_data import export_cnn, export_dense, predictions_by_number, write_rows
from benchmarks.serving_models import NAME
from benchmarks.serving_processes import ours as serving
from penstock.components.pusher.publish import publish

FORMATS = ("parquet", "tf_example", "jsonl", "prediction_log", "csv")
BATCHES = (64, 512, 4096, 16384)
IN_FLIGHT = (1, 4)
TOLERANCE = 1e-6
DEMANDED = {
    "vs_bulk_inferrer_parquet": 15,
    "vs_bulk_inferrer_tf_example": 15,
    "vs_bulk_inferrer_jsonl": 6,
    "vs_bulk_inferrer_prediction_log": 6,
    "vs_limit": 0.75,
    "memory_4x_rows": 1.1,
    "largest_difference": TOLERANCE,
}

Figures = dict[str, Any]


class Benchmark:
    """All measurements, each independent of the others.

    Args:
        folder: For rows, models and outputs.
        rows: Rows to score, a count.
        rounds: Timed runs of each contender but BulkInferrer, which runs once.
    """

    def __init__(self, folder: Path, rows: int, rounds: int) -> None:
        self._folder = folder
        self._rows = rows
        self._rounds = rounds
        self._files = folder / "all" / "Split-rows"
        write_rows(self._files, rows)
        # As TFX lays them out, for BulkInferrer.
        self._dense = export_dense(folder / "dense" / "Format-Serving")

    def formats(self) -> Figures:
        """Compare all formats with the limit and with BulkInferrer, whose predictions must be ours."""
        bulk = self._bulk(self._dense, self._files, "bulk")
        figures: Figures = {"bulk_inferrer": _figures([bulk], self._rows)}
        for name in FORMATS:
            found = self._in_turn({who: partial(self._run, who, format=name) for who in ("ours", "limit")})
            figures[name] = {who: _figures(runs, self._rows) for who, runs in found.items()}
            figures[name]["vs_limit"] = _ratio(found["limit"], found["ours"])
            figures[name]["vs_bulk_inferrer"] = _ratio([bulk], found["ours"])
        ours = self._folder / "compared"
        run("ours", model=str(self._dense), rows=str(self._files), output=str(ours), format="prediction_log")
        return {**figures, **self._compared(self._folder / "bulk", ours)}

    def batches(self) -> Figures:
        """Compare sizes of batches, into Parquet."""
        sizes = {f"{rows}_rows": partial(self._run, "ours", format="parquet", max_rows=rows) for rows in BATCHES}
        return {name: _figures(runs, self._rows) for name, runs in self._in_turn(sizes).items()}

    def remote(self) -> Figures:
        """Compare the embedded server, a process of its own on the same cores, with the model in process."""
        base = self._folder / "served" / NAME
        publish(self._dense, base, "next")
        with serving(base, self._folder / "server.log") as server:
            contenders = {"in_process": partial(self._run, "ours", format="parquet")}
            for count in IN_FLIGHT:
                remote = {"grpc": server.address, "model": NAME, "in_flight": count}
                contenders[f"remote_{count}_in_flight"] = partial(
                    self._run, "ours", format="parquet", mode={"remote": remote}
                )
            found = self._in_turn(contenders)
        figures: Figures = {name: _figures(runs, self._rows) for name, runs in found.items()}
        for name in list(figures)[1:]:
            figures[name]["vs_in_process"] = _ratio(found["in_process"], found[name])
        return figures

    def cnn(self) -> Figures:
        """Compare with a model that is slow itself, on a tenth of the rows."""
        model = export_cnn(self._folder / "cnn" / "Format-Serving")
        rows = max(self._rows // 10, 1)
        files = self._folder / "tenth" / "Split-rows"
        write_rows(files, rows)
        contenders = {
            who: partial(self._run, who, model=str(model), rows=str(files), format="parquet")
            for who in ("ours", "limit")
        }
        found = self._in_turn(contenders)
        bulk = self._bulk(model, files, "bulk-cnn")
        return {
            **{who: _figures(runs, rows) for who, runs in found.items()},
            "bulk_inferrer": _figures([bulk], rows),
            "vs_limit": _ratio(found["limit"], found["ours"]),
            "vs_bulk_inferrer": _ratio([bulk], found["ours"]),
        }

    def memory(self) -> Figures:
        """Compare the most memory for all rows with that for four times as many."""
        files = self._folder / "four-times" / "Split-rows"
        write_rows(files, 4 * self._rows)
        figures: Figures = {}
        for name in ("parquet", "jsonl"):
            once = self._run("ours", format=name)
            more = self._run("ours", rows=str(files), format=name)
            figures[name] = {
                "megabytes": round(once.megabytes),
                "megabytes_4x_rows": round(more.megabytes),
                "rows_per_second_4x_rows": round(4 * self._rows / more.seconds),
                "ratio": round(more.megabytes / once.megabytes, 2),
            }
        return figures

    def _run(self, who: str, **task: Any) -> Run:
        """Run a contender on all rows with the small model, if the task says nothing else."""
        output = self._folder / "output"
        try:
            return run(who, **{"model": str(self._dense), "rows": str(self._files), "output": str(output), **task})
        finally:
            shutil.rmtree(output, ignore_errors=True)

    def _bulk(self, model: Path, files: Path, name: str) -> Run:
        return run("bulk_inferrer", model=str(model), rows=str(files), output=str(self._folder / name))

    def _in_turn(self, contenders: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
        names = list(contenders)
        found: dict[str, list[Run]] = {name: [] for name in names}
        for number in range(self._rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                found[name].append(contenders[name]())
        return found

    def _compared(self, theirs: Path, ours: Path) -> Figures:
        """Compare the predictions of each row."""
        import numpy as np

        left, right = predictions_by_number(theirs, self._rows), predictions_by_number(ours, self._rows)
        difference = float(np.abs(left - right).max())
        if difference > TOLERANCE:
            raise SystemExit(f"predictions differ by {difference} from BulkInferrer's")
        return {"rows_compared": self._rows, "largest_difference": difference}


SECTIONS = ("formats", "batches", "remote", "cnn", "memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.batch_inference", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to score")
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each contender but BulkInferrer")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS), help="sections to measure")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    figures: Figures = {}
    loads = {}
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        benchmark = Benchmark(Path(name), arguments.rows, arguments.rounds)
        for section in SECTIONS:
            if section in arguments.only:
                loads[section] = round(os.getloadavg()[0], 2)
                figures[section] = getattr(benchmark, section)()
                # What comes later may fail, and what was measured is not to be lost with it.
                print(section, json.dumps(figures[section]), file=sys.stderr, flush=True)
    setting = {
        "workload": f"{arguments.rows} rows of 64 floats, gzip TFRecords in 4 files; Dense 64, softmax of 10; cnn: two "
        "convolutions of 32 and 64 channels on 8 x 8, Dense 128",
        "rounds": arguments.rounds,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
        "load_before_each_section": loads,
    }
    print(json.dumps({**setting, **figures, **_ratios(figures), "demanded": DEMANDED}))
    return 0


def _ratios(figures: Figures) -> Figures:
    """Return what is demanded, of what was measured."""
    found: Figures = {}
    if "formats" in figures:
        for name in FORMATS:
            found |= {f"{key}_{name}": figures["formats"][name][key] for key in ("vs_bulk_inferrer", "vs_limit")}
        found["largest_difference"] = figures["formats"]["largest_difference"]
    if "memory" in figures:
        found["memory_4x_rows"] = max(each["ratio"] for each in figures["memory"].values())
    return found


def _figures(runs: Sequence[Run], rows: int) -> Figures:
    seconds = [each.seconds for each in runs]
    return {
        "rows_per_second": round(rows / statistics.median(seconds)),
        "slowest": round(rows / max(seconds)),
        "fastest": round(rows / min(seconds)),
        "megabytes": round(max(each.megabytes for each in runs)),
    }


def _ratio(slower: Sequence[Run], faster: Sequence[Run]) -> float:
    """Return how many times as fast the second is, by the medians."""
    return round(statistics.median(r.seconds for r in slower) / statistics.median(r.seconds for r in faster), 2)


if __name__ == "__main__":
    sys.exit(main())
