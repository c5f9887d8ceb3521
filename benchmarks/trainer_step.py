"""Training steps a second of the whole Trainer on a small model: ``python -m benchmarks.trainer_step [--rounds N]``.

Beside Keras's own ``fit``, and beside loops that do nothing but train: a ``tf.function`` that holds the whole loop and
computes the metrics as well, which is the limit that ours is held to; the same without metrics; and a ``tf.function``
called once a step. All train the same model with the same optimizer on the same batches, out of the Trainer's own input
pipeline with the rows in memory; they alternate in one process, in another order each round. Of each the first epoch
does not count. Ours is timed as a callback of the user's sees it, from the second epoch to the end: with callbacks,
progress, checkpoints, TensorBoard's log, metrics, and a short validation after each epoch. Keras's ``fit`` computes
metrics and has no callbacks. Ratios are medians over the rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.trainer_data import LABEL, MEASURES, Rows, request_on, write_rows
from benchmarks.trainer_models import LEARNING_RATE, TIMES, WARM_UP_EPOCHS, counted_seconds, small_model

BATCH = 64
SHARDS = 8
COUNTED_EPOCHS = 5
STEPS_PER_EXECUTION = 50
CHECKPOINT_STEPS = {"ours": 5_000, "ours_often_saved": 500}
DEMANDED = {"vs_peer": 2.0, "vs_limit": 0.9}
RATIOS = {
    "vs_peer": ("ours", "fit"),
    "vs_limit": ("ours", "loop_in_graph_with_metrics"),
    "vs_limit_without_metrics": ("ours", "loop_in_graph"),
    "vs_step_function": ("ours", "step_function"),
    "often_saved_vs_peer": ("ours_often_saved", "fit"),
    "often_saved_vs_limit": ("ours_often_saved", "loop_in_graph_with_metrics"),
    "vs_peer_50_steps": ("ours", "fit_50_steps"),
}

Figures = dict[str, Any]


class TerminalInAFile:
    """Takes what the Trainer reports, as a terminal does."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8", buffering=1)

    def status(self, text: str) -> None:
        """Write it."""
        self._file.write(f"\r{text}")

    def note(self, text: str) -> None:
        """Write it."""
        self._file.write(f"{text}\n")


class Contenders:
    """Ways to train the small model; each returns its seconds of the counted epochs."""

    def __init__(self, folder: Path, rows: Rows) -> None:
        from penstock.components.trainer.input_pipeline import RowParser, training_data
        from penstock.components.trainer.options import InputOptions
        from penstock.components.trainer.preprocessing import load_preprocessing
        from penstock.components.trainer.records import Split
        from penstock.components.trainer.schedule import Passes
        from penstock.components.trainer.sharding import BatchPlan

        self._folder = folder
        self._rows = rows
        self._steps = rows.count // BATCH
        self._runs = 0
        self.last_report: Figures = {}
        preprocessing = load_preprocessing(None, rows.schema)
        parser = RowParser(preprocessing.raw_spec, preprocessing.apply, (MEASURES,), LABEL)
        split = Split(rows.training, (rows.count // SHARDS,) * SHARDS)
        options, passes = InputOptions(cache="memory"), Passes(seed=0, epochs=None)
        self._batches = training_data(split, parser, options, BatchPlan(BATCH), passes)
        self.all: dict[str, Callable[[], float]] = {
            **{name: partial(self._ours, steps) for name, steps in CHECKPOINT_STEPS.items()},
            "fit": lambda: self._fit(1),
            "fit_50_steps": lambda: self._fit(STEPS_PER_EXECUTION),
            "step_function": self._step_function,
            "loop_in_graph": lambda: self._loop_in_graph(_bare_step()),
            "loop_in_graph_with_metrics": lambda: self._loop_in_graph(_bare_step(metrics=True)),
        }

    def _ours(self, checkpoint_steps: int) -> float:
        from penstock.components.trainer.train import train
        from penstock.reporting import reporting_to

        self._runs += 1
        folder = self._folder / f"run-{self._runs}"
        times = self._folder / f"times-{self._runs}"
        times.mkdir()
        options = {
            "model_fn": "benchmarks.trainer_models.small",
            "callbacks_fn": "benchmarks.trainer_models.stopwatch",
            "epochs": WARM_UP_EPOCHS + COUNTED_EPOCHS,
            "batch_size": BATCH,
            "hparams": {TIMES: str(times)},
            "input": {"cache": "memory"},
            "checkpoint": {"every_steps": checkpoint_steps},
        }
        request = request_on(self._rows, folder, options)
        with reporting_to(TerminalInAFile(folder / "terminal.txt")):
            train(request)
        self.last_report = json.loads((request.run_folder / "training_report.json").read_text(encoding="utf-8"))
        return counted_seconds(times)

    def _fit(self, steps_per_execution: int) -> float:
        import keras

        model = small_model(keras, steps_per_execution=steps_per_execution)
        model.fit(self._batches, epochs=WARM_UP_EPOCHS, steps_per_epoch=self._steps, verbose=0)
        began = time.perf_counter()
        model.fit(self._batches, epochs=COUNTED_EPOCHS, steps_per_epoch=self._steps, verbose=0)
        return time.perf_counter() - began

    def _step_function(self) -> float:
        import tensorflow as tf

        step = tf.function(_bare_step())

        def run(epochs: int) -> None:
            for inputs, label in self._batches.take(epochs * self._steps):
                step(inputs, label)

        return _counted(run)

    def _loop_in_graph(self, step: Callable[[Any, Any], Any]) -> float:
        import tensorflow as tf

        @tf.function
        def loop(batches: Any) -> Any:
            loss = tf.zeros([])
            for inputs, label in batches:
                loss = step(inputs, label)
            return loss

        return _counted(lambda epochs: loop(self._batches.take(epochs * self._steps)))


def _bare_step(*, metrics: bool = False) -> Callable[[Any, Any], Any]:
    """Return what trains on one batch and nothing else: forward, loss, gradients, update, and mean loss and accuracy.

    Without metrics the softmax itself is not computed: the loss takes what goes into it.
    """
    import keras
    import tensorflow as tf

    model = small_model(keras)
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    optimizer.build(model.trainable_variables)
    mean_loss, accuracy = keras.metrics.Mean(), keras.metrics.SparseCategoricalAccuracy()

    def step(inputs: Any, label: Any) -> Any:
        with tf.GradientTape() as tape:
            output = model(inputs, training=True)
            loss = loss_of(label, output)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        if metrics:
            mean_loss.update_state(loss)
            accuracy.update_state(label, output)
        return loss

    return step


def _counted(run: Callable[[int], None]) -> float:
    run(WARM_UP_EPOCHS)
    began = time.perf_counter()
    run(COUNTED_EPOCHS)
    return time.perf_counter() - began


def main(argv: Sequence[str] | None = None) -> int:
    """Run all in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer_step", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each")
    parser.add_argument("--rows", type=int, default=200_000, help="rows in the files")
    arguments = parser.parse_args(argv)
    whole = BATCH * STEPS_PER_EXECUTION * SHARDS
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        folder = Path(name)
        logging.basicConfig(level=logging.INFO, filename=folder / "benchmark.log")
        rows = write_rows(folder / "rows", rows=max(1, arguments.rows // whole) * whole, shards=SHARDS)
        contenders = Contenders(folder, rows)
        loads, rates = _measure(contenders, arguments.rounds, rows.count * COUNTED_EPOCHS)
    figures = {
        name: {
            "examples_per_second": round(statistics.median(measured)),
            "slowest": round(min(measured)),
            "fastest": round(max(measured)),
            "microseconds_per_step": round(BATCH / statistics.median(measured) * 1e6, 1),
        }
        for name, measured in rates.items()
    }
    figures["ours"]["steps_per_execution"] = contenders.last_report["speed"]["steps_per_execution"]
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(rates[left], rates[right], strict=True)), 2)
        for name, (left, right) in RATIOS.items()
    }
    workload = (
        f"10 numbers, Dense 16, softmax of 10, Adam, batch {BATCH}; {COUNTED_EPOCHS} epochs of {rows.count} rows in "
        f"memory; steps between checkpoints: {CHECKPOINT_STEPS}; peer: Keras fit, 50_steps: with steps_per_execution "
        "50; limit: the whole loop with metrics in one tf.function"
    )
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(
        json.dumps(
            {
                "workload": workload,
                "rounds": arguments.rounds,
                "machine": machine,
                "load_before_each_round": loads,
                **figures,
                **ratios,
                "demanded": DEMANDED,
            }
        )
    )
    return 0


def _measure(contenders: Contenders, rounds: int, rows: int) -> tuple[list[float], dict[str, list[float]]]:
    """Return the machine's load at the start of each round, and the rows a second of each contender."""
    names = list(contenders.all)
    rates: dict[str, list[float]] = {name: [] for name in names}
    loads = []
    for number in range(rounds):
        loads.append(round(os.getloadavg()[0], 2))
        first = number % len(names)
        for name in names[first:] + names[:first]:
            rates[name].append(rows / contenders.all[name]())
    return loads, rates


if __name__ == "__main__":
    sys.exit(main())
