"""Trainings in processes of their own, for benchmarks: ``python -m benchmarks.training_processes REQUEST [CORE]``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.trainer_data import Rows, request_on
from benchmarks.trainer_models import TIMES, WARM_UP_EPOCHS, counted_seconds

_LIMIT_SECONDS = 280
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}


@dataclass(frozen=True)
class Trained:
    """A training that has ended.

    Args:
        steps_per_second: Steps of the epochs that count, checkpoints and validation included in their time.
        report: Its ``training_report.json``.
    """

    steps_per_second: float
    report: Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """A training to run.

    Args:
        rows: What to train on.
        folder: Folder for all that it leaves; it must not exist.
        options: The Trainer's parameters beside label, length and callbacks.
        epochs: Epochs that count.
    """

    rows: Rows
    folder: Path
    options: Mapping[str, Any]
    epochs: int

    def write(self) -> Path:
        """Write the request for a process, and return its file."""
        from penstock.components.trainer.request import to_json

        self._times.mkdir(parents=True)
        hparams = {**self.options.get("hparams", {}), TIMES: str(self._times)}
        length = {"epochs": WARM_UP_EPOCHS + self.epochs, "callbacks_fn": "benchmarks.trainer_models.stopwatch"}
        request = request_on(self.rows, self.folder / "training", {**self.options, **length, "hparams": hparams})
        file = self.folder / "request.json"
        file.write_text(to_json(request), encoding="utf-8")
        return file

    def figures(self) -> Trained:
        """Return what came of it."""
        report = json.loads((self.folder / "training/run/training_report.json").read_text(encoding="utf-8"))
        counted = report["course"]["steps"] * self.epochs / (WARM_UP_EPOCHS + self.epochs)
        return Trained(counted / counted_seconds(self._times), report)

    @property
    def _times(self) -> Path:
        return self.folder / "times"


def run(job: Job) -> Trained:
    """Run a training as a user would, on all cores."""
    _run([_command(job.write())])
    return job.figures()


def run_pinned(job: Job, core: int) -> Trained:
    """Run a training of one process on one core."""
    _run([_command(job.write(), core)])
    return job.figures()


def run_side_by_side(job: Job, cores: int) -> list[Trained]:
    """Run a training once a core, each for itself on a core of its own."""
    jobs = [replace(job, folder=job.folder / str(core)) for core in range(cores)]
    _run([_command(each.write(), core) for core, each in enumerate(jobs)])
    return [each.figures() for each in jobs]


def run_cluster_pinned(job: Job, cores: int) -> Trained:
    """Run one training of as many workers as there are cores, each on a core of its own."""
    from penstock.components.trainer.cluster.ports import free_addresses
    from penstock.components.trainer.cluster.topology import Cluster

    file = job.write()
    cluster = Cluster({"worker": free_addresses(cores)})
    places = [{"TF_CONFIG": cluster.tf_config(task)} for task in cluster.tasks]
    _run([_command(file, core) for core in range(cores)], places)
    return job.figures()


def _command(request: Path, core: int | None = None) -> list[str]:
    return [sys.executable, "-m", __spec__.name, str(request), *([] if core is None else [str(core)])]


def _run(commands: Sequence[list[str]], places: Sequence[Mapping[str, str]] = ()) -> None:
    """Run commands at the same time, and wait for all."""
    environments = [{**os.environ, **_QUIET, **place} for place in places or [{}] * len(commands)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            )
            for command, environment in zip(commands, environments, strict=True)
        ]
        for process in processes:
            stack.callback(process.kill)
        for process in processes:
            _, errors = process.communicate(timeout=_LIMIT_SECONDS)
            if process.returncode:
                raise SystemExit(f"{process.args!r} failed:\n{errors[-3000:]}")


def _main(request_file: str, core: str | None = None) -> None:
    if core is not None:
        # Before TensorFlow starts its threads, which inherit it.
        os.sched_setaffinity(0, {int(core)})
    from penstock.components.trainer.request import from_json
    from penstock.components.trainer.train import train

    train(from_json(Path(request_file).read_text(encoding="utf-8")))


if __name__ == "__main__":
    _main(*sys.argv[1:])
