"""Two replicas on two logical CPUs, which a process can have only from its start."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import EnvironmentProblem

SCRIPT = """
import pickle, sys
sys.path[:0] = [sys.argv[2]]
with open(sys.argv[1], "rb") as file:
    request = pickle.load(file)
from penstock.components.trainer.train import train
print(train(request).report)
"""


def test_mirrored_over_two_logical_cpus(request_for: Callable[..., Any], tmp_path: Path) -> None:
    import pickle

    options = {
        "strategy": "mirrored",
        "runtime": {"logical_devices": {"cpu": 2}},
        "batch_size": 51,
        "epochs": 3,
        "hparams": {"rate": 0.5},
        "input": {"cache": "memory"},
    }
    request = request_for(with_=options)
    (tmp_path / "request").write_bytes(pickle.dumps(request))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "request"), str(tmp_path / "project")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((request.run_folder / "training_report.json").read_text())
    assert (report["strategy"], report["replicas"], report["global_batch_size"], report["steps"]) == (
        "mirrored",
        2,
        102,
        9,
    )
    assert report["final_metrics"]["val_accuracy"] > 0.9
    assert [check["rows"] for check in report["signatures"]] == [64, 64]
    assert all(check["not_checked"] is None for check in report["signatures"])


def test_a_device_that_is_not_there(request_for: Callable[..., Any]) -> None:
    from penstock.components.trainer.train import train

    request = request_for(with_={"strategy": {"name": "mirrored", "devices": ["cpu:0", "/gpu:7"]}})
    with pytest.raises(EnvironmentProblem, match="there is no device '/gpu:7'") as caught:
        train(request)
    assert caught.value.expected == "some of cpu:0"


def test_logical_devices_after_tensorflow_was_started(request_for: Callable[..., Any]) -> None:
    import tensorflow as tf

    from penstock.components.trainer.train import train

    tf.constant(1)
    with pytest.raises(EnvironmentProblem, match="must be set before TensorFlow starts") as caught:
        train(request_for(with_={"runtime": {"logical_devices": {"cpu": 2}}}))
    assert caught.value.received == "a process in which TensorFlow runs with 1 logical CPU(s)"


def test_the_names_of_devices() -> None:
    from penstock.components.trainer.strategies import _short

    spellings = ["cpu:0", "/cpu:0", "CPU:0", "/device:CPU:0", "/job:localhost/replica:0/task:0/device:CPU:0", "cpu"]
    assert {_short(name) for name in spellings} == {"cpu:0"}
