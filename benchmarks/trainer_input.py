"""Examples a second out of the Trainer's input pipeline: ``python -m benchmarks.trainer_input [--rounds N]``.

Beside how the stock Trainer reads, ``DataAccessor.tf_dataset_factory``, and beside the fastest tf.data loops that we
could write by hand for these very files, which need not restart, repeat an order, or share rows out. All read the same
gzip shards, batch 64, alternating in one run; each is drained by one ``tf.function``, first an epoch that does not
count, then whole ones for two seconds. Ratios are medians over the rounds of the ratio within a round.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.tabular_rows import FEATURES, LABEL, SCHEMA, write_shards

BATCH = 64
SHARDS = 8
SHUFFLE_BUFFER = 10_000
COUNTED_SECONDS = 2.0
DEMANDED = {"vs_peer": 1.3, "cached_vs_peer": 3.0, "vs_limit": 0.95, "cached_vs_limit": 0.95}
RATIOS = {
    "vs_peer": ("ours", "peer"),
    "vs_limit": ("ours", "limit"),
    "cached_vs_peer": ("ours_cached", "peer"),
    "cached_vs_limit": ("ours_cached", "limit_cached"),
    "unshuffled_vs_peer": ("ours_unshuffled", "peer_unshuffled"),
}

Dataset = Any


class Contenders:
    """The input pipelines, each an endless dataset of batches over the same files."""

    def __init__(self, folder: Path, rows: int) -> None:
        from penstock.components.trainer.input_pipeline import RowParser
        from penstock.components.trainer.preprocessing import load_preprocessing

        schema = folder / "schema.pbtxt"
        schema.write_text(SCHEMA, encoding="utf-8")
        self._rows = rows
        self._files = write_shards(folder, rows=rows, shards=SHARDS)
        preprocessing = load_preprocessing(None, schema)
        self._schema = preprocessing.schema
        self._parser = RowParser(preprocessing.raw_spec, preprocessing.apply, FEATURES, LABEL)
        self.all: dict[str, Callable[[], Dataset]] = {
            "peer": lambda: self._peer(shuffle=True),
            "ours": self._ours,
            "limit": self._limit,
            "ours_cached": lambda: self._ours(cache="memory"),
            "limit_cached": self._limit_cached,
            "peer_unshuffled": lambda: self._peer(shuffle=False),
            "ours_unshuffled": lambda: self._ours(shuffle_buffer=0),
        }

    def _ours(self, **options: Any) -> Dataset:
        from penstock.components.trainer.input_pipeline import training_data
        from penstock.components.trainer.options import InputOptions
        from penstock.components.trainer.records import Split
        from penstock.components.trainer.schedule import Passes
        from penstock.components.trainer.sharding import BatchPlan

        split = Split(self._files, (self._rows // SHARDS,) * SHARDS)
        given = InputOptions(**{"shuffle_buffer": SHUFFLE_BUFFER, **options})
        return training_data(split, self._parser, given, BatchPlan(BATCH), Passes(seed=0, epochs=None))

    def _peer(self, *, shuffle: bool) -> Dataset:
        from tfx.components.util.tfxio_utils import get_tf_dataset_factory_from_artifact
        from tfx.types.standard_artifacts import Examples
        from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

        factory = get_tf_dataset_factory_from_artifact([Examples()], ["Trainer"])
        options = TensorFlowDatasetOptions(
            BATCH, shuffle=shuffle, shuffle_buffer_size=SHUFFLE_BUFFER, shuffle_seed=0, label_key=LABEL
        )
        return factory(list(self._files), options, self._schema)

    def _limit(self) -> Dataset:
        """Shuffle windows of serialized rows, parse many batches at a time, and let order go where it costs."""
        import tensorflow as tf

        windows = self._blocks(endless=True).rebatch(SHUFFLE_BUFFER).map(tf.random.shuffle).prefetch(1)
        parsed = windows.rebatch(16 * BATCH).map(self._parser, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
        return parsed.rebatch(BATCH).prefetch(tf.data.AUTOTUNE)

    def _limit_cached(self) -> Dataset:
        """Keep parsed rows in memory and gather many batches at a time by shuffled row numbers."""
        import tensorflow as tf

        parsed = self._blocks(endless=False).map(self._parser, num_parallel_calls=tf.data.AUTOTUNE)
        kept = parsed.rebatch(self._rows).get_single_element()
        orders = tf.data.Dataset.counter().map(lambda _: tf.random.shuffle(tf.range(self._rows))).prefetch(1)
        gathered = orders.rebatch(16 * BATCH).map(
            lambda numbers: tf.nest.map_structure(lambda part: tf.gather(part, numbers), kept),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=False,
        )
        return gathered.rebatch(BATCH).prefetch(tf.data.AUTOTUNE)

    def _blocks(self, *, endless: bool) -> Dataset:
        import tensorflow as tf

        files = tf.data.Dataset.from_tensor_slices(list(self._files)).shuffle(SHARDS)
        return (files.repeat() if endless else files).interleave(
            lambda file: tf.data.TFRecordDataset(file, "GZIP").batch(256),
            cycle_length=SHARDS,
            num_parallel_calls=SHARDS,
            deterministic=False,
        )


@dataclass(frozen=True)
class Measured:
    """What one contender did in one round: rows a second of wall time, and CPU microseconds a row."""

    examples_per_second: float
    cpu_microseconds: float


def measure(dataset: Dataset, epoch_rows: int) -> Measured:
    """Drain an epoch that does not count, then whole epochs that do."""
    import tensorflow as tf

    @tf.function
    def drain(iterator: Any, batches: Any) -> Any:
        rows = tf.zeros([], tf.int64)
        for _ in tf.range(batches):
            _inputs, label = next(iterator)
            rows += tf.shape(label, tf.int64)[0]
        return rows

    iterator, batches, rows = iter(dataset), tf.constant(epoch_rows // BATCH), 0
    drain(iterator, batches)
    began, cpu_began = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < COUNTED_SECONDS:
        rows += int(drain(iterator, batches))
    return Measured(rows / (time.perf_counter() - began), (time.process_time() - cpu_began) * 1e6 / rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Run all in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer_input", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="timed runs of each")
    parser.add_argument("--rows", type=int, default=200_000, help="rows in the files, a multiple of 512")
    arguments = parser.parse_args(argv)
    rows = arguments.rows - arguments.rows % (BATCH * SHARDS)
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as folder:
        contenders = Contenders(Path(folder), rows).all
        rounds: dict[str, list[Measured]] = {name: [] for name in contenders}
        for _ in range(arguments.rounds):
            for name, make in contenders.items():
                rounds[name].append(measure(make(), rows))
    rates = {name: [one.examples_per_second for one in measured] for name, measured in rounds.items()}
    figures = {
        name: {
            "examples_per_second": round(statistics.median(measured)),
            "slowest": round(min(measured)),
            "fastest": round(max(measured)),
            "cpu_microseconds_per_row": round(statistics.median(one.cpu_microseconds for one in rounds[name]), 2),
        }
        for name, measured in rates.items()
    }
    ratios = {
        name: round(statistics.median(a / b for a, b in zip(rates[left], rates[right], strict=True)), 2)
        for name, (left, right) in RATIOS.items()
    }
    workload = (
        f"{rows} rows of {len(FEATURES) + 1} features in {SHARDS} gzip shards, batch {BATCH}, shuffled over "
        f"{SHUFFLE_BUFFER} rows; cached: from the second epoch; peer: TFX's DataAccessor.tf_dataset_factory; limit: "
        "tf.data by hand"
    )
    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}"
    print(
        json.dumps(
            {
                "workload": workload,
                "rounds": arguments.rounds,
                "machine": machine,
                **figures,
                **ratios,
                "demanded": DEMANDED,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
