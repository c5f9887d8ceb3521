"""Training steps a second under every strategy: ``python -m benchmarks.strategies [--rounds N]``.

First all strategies on the same model, global batch and machine, beside none; then weak scaling: two workers on two
cores beside one on one core, each with the same batch, and beside two trainings that have nothing to do with each
other, which is what the machine's second core can give at most. Every training is a process of its own, or a cluster of
them; they alternate. The first epoch does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.trainer_data import PLACE_COUNT, Rows, write_rows
from benchmarks.training_processes import Job, Trained, run, run_cluster_pinned, run_pinned, run_side_by_side

GLOBAL_BATCH = 128
REPLICAS = 2
SHARDS = 8
ROWS = 100_352
"""A multiple of every global batch, so that all steps are alike."""
CORES = 2
CHECKPOINT_STEPS = 1_000
AIM = 0.8
"""Weak scaling to aim at: the second worker's part of its own steps that it adds."""

Figures = dict[str, Any]

TWO_CPUS = {"runtime": {"logical_devices": {"cpu": REPLICAS}}}
STRATEGIES: Mapping[str, Figures] = {
    "default": {},
    "one_device": {"strategy": {"name": "one_device"}},
    "mirrored": {"strategy": {"name": "mirrored"}, **TWO_CPUS},
    "central_storage": {"strategy": {"name": "central_storage"}, **TWO_CPUS},
    "multi_worker_mirrored": {"strategy": {"name": "multi_worker_mirrored", "workers": REPLICAS}},
    "parameter_server": {"strategy": {"name": "parameter_server", "workers": REPLICAS, "ps": 1}},
}
SPLIT_BATCH = ("mirrored", "central_storage", "multi_worker_mirrored")
"""Strategies whose replicas share a step; under the others one replica sees the global batch."""

MODELS: Mapping[str, Figures] = {
    "small": {"model_fn": "benchmarks.trainer_models.dense", "hparams": {"units": [16]}},
    "medium": {"model_fn": "benchmarks.trainer_models.dense", "hparams": {"units": [512, 512]}},
}
EPOCHS = {"small": 4, "medium": 2}
SCALED_EPOCHS = 4

SCALED: Mapping[str, Figures] = {
    f"{name}_{batch}": {**model, "batch_size": batch}
    for name, model in {
        "dense": {"model_fn": "benchmarks.trainer_models.dense", "hparams": {"units": [512, 512]}},
        "embedding": {"model_fn": "benchmarks.trainer_models.embedding", "hparams": {"dimensions": 16, "units": [256]}},
    }.items()
    for batch in (256, 1024)
}
"""By model and batch of a worker."""


class Benchmark:
    """Runs trainings, each in a new folder.

    Args:
        folder: Folder for all of them.
        rows: What they train on.
    """

    def __init__(self, folder: Path, rows: Rows) -> None:
        self._folder = folder
        self._rows = rows
        self._jobs = 0
        self.loads: list[float] = []

    def strategies(self, model: str, rounds: int) -> Figures:
        """Return the speed of every strategy on a model."""
        runs: dict[str, list[Trained]] = {name: [] for name in STRATEGIES}
        for _ in range(rounds):
            for name, trained in runs.items():
                trained.append(run(self._strategy_job(model, name)))
        rates = {name: statistics.median(each.steps_per_second for each in trained) for name, trained in runs.items()}
        return {
            name: {
                "steps_per_second": round(rate, 1),
                "slowest": round(min(each.steps_per_second for each in runs[name]), 1),
                "fastest": round(max(each.steps_per_second for each in runs[name]), 1),
                "reported_examples_per_second": round(runs[name][-1].report["speed"]["examples_per_second"]),
                "overhead_milliseconds_per_step": round((1 / rate - 1 / rates["default"]) * 1e3, 3),
                "vs_default": round(rate / rates["default"], 3),
                **_exchange(runs[name]),
            }
            for name, rate in rates.items()
        }

    def weak_scaling(self, model: str, rounds: int) -> Figures:
        """Return how much two workers on two cores do beside one worker on one core."""
        options = {**SCALED[model], "runtime": {"intra_op_threads": 1}}
        cluster = {**options, "strategy": {"name": "multi_worker_mirrored", "workers": CORES, "communication": "ring"}}
        ways: dict[str, Callable[[], list[Trained]]] = {
            "one_worker": lambda: [run_pinned(self._job(options, SCALED_EPOCHS), 0)],
            "two_workers": lambda: [run_cluster_pinned(self._job(cluster, CORES * SCALED_EPOCHS), CORES)],
            "two_apart": lambda: run_side_by_side(self._job(options, SCALED_EPOCHS), CORES),
        }
        runs: dict[str, list[list[Trained]]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                runs[name].append(way())
        rates = {
            name: [statistics.mean(each.steps_per_second for each in trained) for trained in several]
            for name, several in runs.items()
        }
        medians = {name: statistics.median(values) for name, values in rates.items()}
        exchange = _exchange([trained for (trained,) in runs["two_workers"]])
        return {
            "parameters": runs["one_worker"][0][0].report["parameters"],
            "batch_per_worker": options["batch_size"],
            "steps_per_second": {name: round(value, 1) for name, value in medians.items()},
            "milliseconds_per_step": {name: round(1e3 / value, 3) for name, value in medians.items()},
            **exchange,
            "efficiency": _median_ratio(rates["two_workers"], rates["one_worker"]),
            "efficiency_of_two_apart": _median_ratio(rates["two_apart"], rates["one_worker"]),
            "vs_limit": _median_ratio(rates["two_workers"], rates["two_apart"]),
        }

    def _strategy_job(self, model: str, name: str) -> Job:
        batch = GLOBAL_BATCH // REPLICAS if name in SPLIT_BATCH else GLOBAL_BATCH
        return self._job({**MODELS[model], "batch_size": batch, **STRATEGIES[name]}, EPOCHS[model])

    def _job(self, options: Figures, epochs: int) -> Job:
        self._jobs += 1
        self.loads.append(round(os.getloadavg()[0], 2))
        cache = "none" if options.get("strategy", {}).get("name") == "parameter_server" else "memory"
        given = {"input": {"cache": cache}, "checkpoint": {"every_steps": CHECKPOINT_STEPS}, **options}
        return Job(self._rows, self._folder / str(self._jobs), given, epochs)


def _exchange(runs: Sequence[Trained]) -> Figures:
    """Return what the report says of the exchange of gradients, or nothing where there is none."""
    speeds = [trained.report["speed"] for trained in runs]
    if speeds[-1]["bytes_per_all_reduce"] is None:
        return {}
    seconds = statistics.median(speed["all_reduce_seconds"] for speed in speeds)
    return {
        "bytes_per_all_reduce": speeds[-1]["bytes_per_all_reduce"],
        "all_reduce_milliseconds": round(seconds * 1e3, 3),
    }


def _median_ratio(left: Sequence[float], right: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(left, right, strict=True)), 3)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strategies", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows in the files")
    parser.add_argument("--only", nargs="*", default=[*MODELS, *SCALED], help="models, of all that there are")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        rows = write_rows(Path(name) / "rows", rows=arguments.rows, shards=SHARDS)
        benchmark = Benchmark(Path(name), rows)
        strategies = {
            model: benchmark.strategies(model, arguments.rounds) for model in MODELS if model in arguments.only
        }
        scaling = {
            model: benchmark.weak_scaling(model, arguments.rounds) for model in SCALED if model in arguments.only
        }
    workload = (
        f"{rows.count} rows of 10 numbers; strategies: {MODELS['small']['hparams']} and {MODELS['medium']['hparams']}, "
        f"Adam, global batch {GLOBAL_BATCH} ({REPLICAS} replicas, or under parameter_server {REPLICAS} workers that "
        f"take steps of {GLOBAL_BATCH} rows in turn; its rows are read from files, those of others from memory); weak "
        f"scaling: a process a core, one thread an operation, the embedding a table of {PLACE_COUNT} rows"
    )
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(
        json.dumps(
            {
                "workload": workload,
                "rounds": arguments.rounds,
                "machine": machine,
                "load_before_each_run": benchmark.loads,
                "strategies": strategies,
                "weak_scaling": scaling,
                "aim": {"efficiency": AIM},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
