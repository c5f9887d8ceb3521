"""A classic ``run_fn`` in a pipeline written by hand with plain TFX."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("peer")


@pytest.mark.e2e
def test_the_plain_pipeline_pushes_a_model_that_answers(root: Path, pytestconfig: pytest.Config):
    command = [sys.executable, "-m", "benchmarks.peer_digits", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=pytestconfig.rootpath)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert list(figures["step_seconds"]) == [
        "ImportExampleGen",
        "StatisticsGen",
        "SchemaGen",
        "ExampleValidator",
        "Transform",
        "Trainer",
        "BulkInferrer",
        "Evaluator",
        "Pusher",
    ]
    (version,) = figures["pushed_versions"]
    assert _accuracy(root / "serving" / version, root / "data") >= 0.9


def _accuracy(model: Path, data: Path) -> float:
    """Ask the pushed model through its signature, as a server does, about every raw evaluation record."""
    import numpy as np
    import tensorflow as tf

    (shard,) = data.glob("eval-*")
    records = list(tf.data.TFRecordDataset(str(shard), compression_type="GZIP").as_numpy_iterator())
    loaded = tf.saved_model.load(str(model))
    probabilities = loaded.signatures["serving_default"](examples=tf.constant(records))["probabilities"]
    examples = [tf.train.Example.FromString(record) for record in records]
    labels = [example.features.feature["label"].int64_list.value[0] for example in examples]
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))
