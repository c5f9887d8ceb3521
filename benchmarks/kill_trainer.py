"""Kills trainings at random moments until they are done: ``python -m benchmarks.kill_trainer [--rounds N]``.

Each training of a small model is killed with SIGKILL, sometimes a task of its cluster, sometimes the step's own process
with all that hangs on it, and run again, or started again in place by ``max_restarts``, as often as it takes. Moments
are drawn from the whole life of a process, imports and export included, and besides from those that matter most: while
a checkpoint is written, while the model is exported, just after it was published. In the end the weights must be those
of the same training undisturbed, byte by byte; under parameter servers, which are not deterministic, it must have taken
all its steps and have learnt.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from penstock.components.trainer.request import TrainRequest
from tests.components.trainer.data import ToyData, write_toy_data
from tests.components.trainer.killing import (
    EVERY_STEPS,
    STEPS,
    Attempt,
    course,
    courses,
    differences,
    half_written,
    history,
    most_redone,
    toy_request,
)

STEP = "step"
"""Name of the process that a pipeline's step runs in, among the tasks of its cluster."""
_ROWS = {"shuffle_buffer": 60, "autoshard": "data"}
STRATEGIES: dict[str, dict[str, Any]] = {
    "default": {"runtime": {"deterministic": True}},
    "mirrored": {
        "strategy": "mirrored",
        "batch_size": 8,
        "input": _ROWS,
        "runtime": {"deterministic": True, "logical_devices": {"cpu": 2}},
    },
    "multi_worker_mirrored": {
        "strategy": {"name": "multi_worker_mirrored", "workers": 2, "communication": "ring"},
        "batch_size": 8,
        "input": _ROWS,
        "runtime": {"deterministic": True},
    },
    "parameter_server": {"strategy": {"name": "parameter_server", "workers": 2, "ps": 1}},
}
_NAP = 0.03
_RESTARTS = 2
_GONE_SECONDS = 5.0


@dataclass
class Findings:
    """What came of the trainings of one strategy.

    Args:
        trainings: Trainings brought to their end, a count.
        kills: Kills by task, counts.
        moments: The same kills by where the training was.
        most_steps_redone: Most steps that were taken again after one kill, a count.
        other_weights: Trainings that ended with other weights or metrics, and by how much.
        unclear: What a step said after a task was killed, if it did not name the task.
        half_written: Files and folders that had their final names and were not whole.
        orphans: Processes that outlived their step.
        failures: What ended a training other than a kill.
    """

    trainings: int = 0
    kills: dict[str, int] = field(default_factory=dict)
    moments: dict[str, int] = field(default_factory=dict)
    most_steps_redone: int = 0
    other_weights: list[str] = field(default_factory=list)
    unclear: list[str] = field(default_factory=list)
    half_written: list[str] = field(default_factory=list)
    orphans: int = 0
    failures: list[str] = field(default_factory=list)

    def killed(self, task: str, moment: str) -> None:
        """Count a kill."""
        self.kills[task] = self.kills.get(task, 0) + 1
        self.moments[moment] = self.moments.get(moment, 0) + 1

    @property
    def total(self) -> int:
        """All kills, a count."""
        return sum(self.kills.values())

    @property
    def bad(self) -> bool:
        """Whether anything was lost."""
        wrong = (self.other_weights, self.unclear, self.half_written, self.orphans, self.failures)
        return any(wrong) or self.most_steps_redone > EVERY_STEPS


class Killer:
    """Kills the trainings of one strategy.

    Args:
        strategy: Its name.
        folder: For the trainings' files.
        toy: The data.
        draw: Where chance comes from.
    """

    def __init__(self, strategy: str, folder: Path, toy: ToyData, draw: random.Random) -> None:
        self._strategy = strategy
        self._folder = folder
        self._toy = toy
        self._draw = draw
        self._reference: TrainRequest | None = None
        self._seconds = 0.0
        self.findings = Findings()

    def run(self, kills: int) -> None:
        """Bring trainings to their end, one after the other, until there were enough kills."""
        reference = self._request("undisturbed", max_restarts=0)
        began = time.monotonic()
        attempt = Attempt(reference)
        if attempt.wait():
            raise SystemExit(f"{self._strategy}: the undisturbed training failed:\n{attempt.output}")
        self._seconds, self._reference = time.monotonic() - began, reference
        while self.findings.total < kills and not self.findings.failures:
            self._bring_to_the_end(kills)

    def _request(self, name: str, *, max_restarts: int) -> TrainRequest:
        with_ = {**STRATEGIES[self._strategy], "max_restarts": max_restarts, "hparams": {"nap": _NAP}}
        return toy_request(self._folder / name, self._toy, with_)

    def _bring_to_the_end(self, kills: int) -> None:
        request = self._request(f"{self.findings.trainings}", max_restarts=self._draw.choice((0, _RESTARTS)))
        done = False
        while not done and not self.findings.failures:
            attempt = Attempt(request)
            victims: list[str] = []
            while attempt.runs() and self.findings.total < kills:
                victim = self._kill(attempt, request)
                victims += [victim] if victim else []
                if victim == STEP or len(victims) > request.config.max_restarts:
                    break
            done = self._look_at_the_end(attempt, request, victims)
        self.findings.trainings += 1
        self.findings.most_steps_redone = max(self.findings.most_steps_redone, most_redone(request))
        if not self.findings.failures:
            self._compare(request)

    def _kill(self, attempt: Attempt, request: TrainRequest) -> str | None:
        """Wait for a moment and kill; return the task, or None if the training was over first."""
        name, reached = self._moment(request)
        while attempt.runs() and not reached():
            time.sleep(0.003)
        tasks = attempt.tasks()
        victim = self._draw.choice([STEP, *tasks, *tasks])
        try:
            attempt.kill(None if victim == STEP else victim)
        except (psutil.NoSuchProcess, KeyError):
            return None
        self.findings.killed(victim, name)
        _tell(f"{self._strategy}: killed {victim}, {name}, after {[asdict(one) for one in courses(request)]}")
        return victim

    def _moment(self, request: TrainRequest) -> tuple[str, Callable[[], object]]:
        deadline = time.monotonic() + self._draw.uniform(0, self._seconds)
        step, model, checkpoints = self._draw.randrange(STEPS), request.saved_model, Path(str(request.checkpoints))
        before = len(courses(request))

        def trained() -> bool:
            now = courses(request)
            return len(now) > before and now[-1].start + now[-1].steps >= step

        moments: dict[str, Callable[[], object]] = {
            "at any time": lambda: time.monotonic() > deadline,
            "in training": trained,
            "saving": lambda: trained() and any(checkpoints.glob(".partial-*")),
            "exporting": model.with_name(f".partial-{model.name}").exists,
            "published": model.exists,
        }
        name = self._draw.choice(list(moments))
        return name, moments[name]

    def _look_at_the_end(self, attempt: Attempt, request: TrainRequest, victims: list[str]) -> bool:
        """Wait for the end of an attempt, note what is wrong, and return whether the training is done."""
        code, found = attempt.wait(), self.findings
        deadline = time.monotonic() + _GONE_SECONDS
        while (left := attempt.all()) and time.monotonic() < deadline:
            time.sleep(0.05)
        found.orphans += len(left)
        found.half_written += half_written(request)
        if code == 1 and victims and STEP not in victims:
            if victims[-1].replace("-", " ") not in attempt.output:
                found.unclear.append(f"killed {victims[-1]}: {attempt.output[-1000:]}")
        elif code > 0:
            found.failures.append(attempt.output[-2000:])
        return code == 0

    def _compare(self, request: TrainRequest) -> None:
        assert self._reference is not None
        found = course(request)
        if self._strategy == "parameter_server":
            if found["steps"] != STEPS or found["final_metrics"]["val_accuracy"] < 0.9:
                self.findings.other_weights.append(json.dumps(found))
            return
        different = differences(self._reference, request)
        if different or history(self._reference) != history(request):
            self.findings.other_weights.append(json.dumps(different))


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Kill, and print one JSON object; return 1 if anything was lost."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kill_trainer", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="kills for each strategy")
    parser.add_argument("--strategy", action="append", choices=[*STRATEGIES], help="one or more; default all")
    parser.add_argument("--seed", type=int, default=None, help="of the moments and victims; default another each time")
    arguments = parser.parse_args(argv)
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(2**32)
    draw = random.Random(seed)
    found: dict[str, Findings] = {}
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        toy = write_toy_data(Path(name) / "data")
        for strategy in arguments.strategy or STRATEGIES:
            killer = Killer(strategy, Path(name) / strategy, toy, draw)
            killer.run(arguments.rounds)
            found[strategy] = killer.findings
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    workload = f"{STEPS} steps, a checkpoint every {EVERY_STEPS}; batch normalization, dropout, Adam"
    print(
        json.dumps(
            {
                "workload": workload,
                "rounds": arguments.rounds,
                "seed": seed,
                "strategies": {strategy: asdict(findings) for strategy, findings in found.items()},
                "machine": machine,
            },
            indent=2,
        )
    )
    return int(any(findings.bad for findings in found.values()))


if __name__ == "__main__":
    sys.exit(main())
