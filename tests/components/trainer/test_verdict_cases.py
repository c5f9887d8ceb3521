"""The verdict on three trainings that were built to be held back by one thing."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.components.trainer.agreement import Bench, build_chatty
from tests.components.trainer.conftest import BUILD
from tests.components.trainer.data import write_shard

Make = Callable[..., Any]
FILES, ROWS_PER_FILE, NUMBERS = 4, 250, 4000
SCHEMA = f"""
feature {{ name: "numbers" type: INT shape {{ dim {{ size: {NUMBERS} }} }} presence {{ min_fraction: 1 }} }}
feature {{ name: "label" type: INT shape {{ dim {{ size: 1 }} }} presence {{ min_fraction: 1 }} }}
"""
LIGHT = """
def build(context):
    keras = context.keras
    inputs = {"numbers": keras.Input((4000,), name="numbers", dtype="int64")}
    first = keras.layers.Rescaling(1e-18)(inputs["numbers"][:, :2])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(first))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""
# 48 batches: rows come in blocks of 1,024, so steps wait for a block again after 16 and after 32 batches.
SLEEPY = f"""
import time
import tensorflow as tf
{BUILD}
def rows(context, files, training):
    points = tf.data.Dataset.range(48 if training else 1).map(some).unbatch()
    return points.map(lambda point: ({{"point": point}}, tf.constant([1], tf.int64)))

def some(_):
    return tf.ensure_shape(tf.numpy_function(slow, [tf.zeros([64, 2])], tf.float32), [64, 2])

def slow(points):
    time.sleep(0.05)
    return points
"""
HEAVY = """
def build(context):
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    hidden = inputs["point"]
    for _ in range(3):
        hidden = keras.layers.Dense(1024, activation="relu")(hidden)
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model
"""


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows that take long to decompress and to parse: numbers of ten bytes each, at random."""
    folder = tmp_path_factory.mktemp("numbers")
    values = np.random.default_rng(0).integers(2**62, 2**63 - 1, [ROWS_PER_FILE, NUMBERS]).tolist()
    write_shard(folder / "0.gz", ({"numbers": row, "label": [row[0] % 2]} for row in values))
    for file in range(1, FILES):
        shutil.copy(folder / "0.gz", folder / f"{file}.gz")
    (folder / "schema.pbtxt").write_text(SCHEMA)
    return folder


def verdict(request: Any) -> dict[str, Any]:
    """Train, and return the verdict."""
    from penstock.components.trainer.train import train

    train(request)
    report = json.loads((request.run_folder / "training_report.json").read_text())
    found: dict[str, Any] = report["speed"]["verdict"]
    return found


def test_slow_reading_is_told_with_what_would_be_faster(request_for: Make, numbers: Path) -> None:
    from penstock.components.trainer.request import SplitFiles

    files = tuple(str(path) for path in sorted(numbers.glob("*.gz")))
    options = {"batch_size": 32, "epochs": 3, "input": {"parallel_reads": 1, "shuffle_buffer": 64}}
    splits = SplitFiles(files, files[:1], files[:1])
    found = verdict(request_for(LIGHT, with_=options, files=splits, schema=numbers / "schema.pbtxt"))
    assert found["name"] == "input-bound"
    assert re.fullmatch(
        r"input-bound: \d+ % of step time is waiting for data; "
        r"input\.(parallel_reads 1 → auto|cache: memory) gives \d+\.\d times the examples/s out of the input "
        r"\(measured\)",
        found["line"],
    )


def test_a_dataset_of_the_users_that_sleeps(request_for: Make) -> None:
    request = request_for(SLEEPY)
    module = request.config.model_fn.rpartition(".")[0]
    # A shuffle buffer that held all rows would have done all the waiting before the first step, which is left out.
    reading = {"shuffle_buffer": 64, "prefetch": 1}
    options = {"batch_size": 64, "steps_per_execution": 8, "input": reading, "dataset_fn": f"{module}.rows"}
    found = verdict(request_for(SLEEPY, with_=options))
    assert found["name"] == "input-bound"
    assert found["line"].endswith(
        f"; {module}.rows makes the rows: let it map with num_parallel_calls, many rows at once"
    )


def test_a_heavy_model(request_for: Make) -> None:
    found = verdict(request_for(HEAVY, with_={"batch_size": 64, "epochs": 4, "input": {"cache": "memory"}}))
    assert found["name"] == "compute-bound"
    assert found["shares"]["synchronise"] is None


def test_workers_that_have_much_to_tell_each_other(tmp_path: Path) -> None:
    options = {"strategy": "multi_worker_mirrored", "batch_size": 8}
    model_fn = f"{build_chatty.__module__}.{build_chatty.__name__}"
    outcome = Bench(tmp_path).train_in_cluster("chatty", {"model_fn": model_fn, **options})
    speed = outcome.report["speed"]
    assert speed["verdict"]["name"] == "synchronisation-bound"
    assert re.fullmatch(
        r"synchronisation-bound: \d+ % of step time is summing 16\.8 MB of gradients over the replicas "
        r"\(.* a step\); a larger batch_size \(now 8 a replica\) exchanges them less often for the same rows",
        speed["verdict"]["line"],
    )
    assert speed["bytes_per_all_reduce"] == 4 * outcome.report["parameters"]
