"""The digits on Flink: the same artifacts as by the direct runner, one job server, and nothing left of it.

Needs a Java and Beam's job server, whose jar comes from Maven Central; ``PENSTOCK_FLINK_JOB_SERVER`` names a file
instead. Skipped with the reason where either cannot be had.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.e2e.conftest import penstock, run, states
from tests.pipelines.engines.job_service import job_servers

CONFIG = "configs/digits-flink.yaml"
NOT_HERE = ("there is no Java", "this Java is too old", "cannot be fetched")
BEFORE = ("examples", "statistics", "schema", "validator", "transform")


def _settings(folder: Path, root: Path, **more: str) -> list[str]:
    settings = {"root": root, "steps.examples.with.input_base": folder / "data", **more}
    jar = os.environ.get("PENSTOCK_FLINK_JOB_SERVER")
    if jar:
        settings["beam.job_server_jar"] = jar
    return [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]


@pytest.fixture(scope="module")
def on_flink(digits: Path) -> Path:
    """The root of a whole run of the digits on Flink."""
    root = digits / "on-flink"
    few = {"vars.epochs": "2", "vars.accuracy": "0.5"}
    ended = penstock("run", CONFIG, "--json", *_settings(digits, root, **few))
    error = json.loads(ended.stdout).get("error", {})
    if any(text in error.get("what", "") for text in NOT_HERE):
        pytest.skip(f"Flink was not run: {error['what']} ({error['received']})")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(states(json.loads(ended.stdout)).values()) == {"ran"}
    return root


@pytest.fixture(scope="module")
def directly(digits: Path, on_flink: Path) -> Path:
    """The root of a run of the first steps by the direct runner."""
    root = digits / "directly"
    settings = {"root": root, "steps.examples.with.input_base": digits / "data", "steps.trainer.enabled": "false"}
    settings |= {f"steps.{name}.enabled": "false" for name in ("evaluator", "pusher", "predictions")}
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    assert set(states(run("configs/digits.yaml", *options))) == set(BEFORE)
    return root


def _one(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def _statistics(root: Path, split: str) -> dict[str, tuple[float, ...]]:
    """Return feature → its count, mean, deviation, least and greatest value."""
    from tensorflow_metadata.proto.v0 import statistics_pb2

    file = _one(root, f"statistics/statistics/*/Split-{split}/FeatureStats.pb")
    (dataset,) = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes()).datasets
    found: dict[str, tuple[float, ...]] = {}
    for feature in dataset.features:
        numbers = feature.num_stats
        name = ".".join(feature.path.step)
        common = numbers.common_stats
        found[name] = (common.num_non_missing, common.min_num_values, common.max_num_values, numbers.num_zeros)
        found[name] += (numbers.mean, numbers.std_dev, numbers.min, numbers.max)
    return {"": (dataset.num_examples,), **found}


def _transformed(root: Path, split: str) -> dict[str, np.ndarray]:
    """Return feature → its values, rows in an order of their own, which no runner decides."""
    import tensorflow as tf

    files = sorted(map(str, root.glob(f"transform/transformed_examples/*/Split-{split}/*.gz")))
    rows = []
    for record in tf.data.TFRecordDataset(files, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        values = {name: feature.float_list.value or feature.int64_list.value for name, feature in features.items()}
        rows.append([value for name in sorted(values) for value in values[name]])
    table = np.asarray(rows, np.float64)
    return {"rows": table[np.lexsort(np.round(table, 4).T)]}


@pytest.mark.parametrize("split", ["train", "eval"])
def test_statistics_are_the_same(on_flink: Path, directly: Path, split: str) -> None:
    flink, direct = _statistics(on_flink, split), _statistics(directly, split)
    assert flink.keys() == direct.keys()
    assert flink[""][0] == {"train": 1437, "eval": 360}[split]
    for name, values in direct.items():
        np.testing.assert_allclose(flink[name], values, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("split", ["train", "eval"])
def test_transformed_examples_are_the_same(on_flink: Path, directly: Path, split: str) -> None:
    flink, direct = _transformed(on_flink, split), _transformed(directly, split)
    assert len(direct["rows"]) == {"train": 1437, "eval": 360}[split]
    np.testing.assert_allclose(flink["rows"], direct["rows"], rtol=1e-6, atol=1e-6)


def test_schemas_are_the_same(on_flink: Path, directly: Path) -> None:
    pattern = "schema/schema/*/schema.pbtxt"
    assert _one(on_flink, pattern).read_text() == _one(directly, pattern).read_text()


def test_predictions_are_the_same(on_flink: Path, tmp_path: Path) -> None:
    """The model that the run has trained, asked directly about the same rows."""
    model = _one(on_flink, "trainer/model/*/Format-Serving")
    rows = _one(on_flink, "examples/examples/*/Split-eval")
    arguments = [
        "--input",
        f"{rows}/*",
        "--input-format",
        "tfrecord",
        "--include",
        "label",
        "--output",
        str(tmp_path / "o"),
    ]
    ended = penstock("infer", "--model", str(model), *arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    direct = [file.read_bytes() for file in sorted((tmp_path / "o").glob("prediction.results-*"))]
    found = _one(on_flink, "predictions/predictions/*")
    assert [file.read_bytes() for file in sorted(found.glob("prediction.results-*"))] == direct
    manifest = json.loads((found / "prediction.manifest.json").read_text())
    assert (manifest["rows"], manifest["errors"]) == (360, 0)


def test_infer_on_flink(on_flink: Path, tmp_path: Path) -> None:
    model = _one(on_flink, "trainer/model/*/Format-Serving")
    rows = _one(on_flink, "examples/examples/*/Split-eval")
    jar = os.environ.get("PENSTOCK_FLINK_JOB_SERVER")
    beam = f"flink_job_server_jar={jar}" if jar else "flink_version=1.20"
    ended = penstock(
        *("infer", "--model", str(model), "--input", f"{rows}/*", "--input-format", "tfrecord", "--output", "out"),
        *("--runner", "flink", "--beam", "parallelism=2", "--beam", beam, "--json"),
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads(ended.stdout)["rows"] == 360
    assert not job_servers(tmp_path)


def test_a_cached_run_starts_no_flink(on_flink: Path, digits: Path) -> None:
    few = {"vars.epochs": "2", "vars.accuracy": "0.5"}
    assert set(states(run(CONFIG, *_settings(digits, on_flink, **few))).values()) <= {"cached", "ran"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(on_flink: Path, digits: Path, tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "penstock", "run", CONFIG, *_settings(digits, tmp_path / "root")]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait(lambda: job_servers(tmp_path), process)
        process.send_signal(number)
    _wait(lambda: not job_servers(tmp_path))


def _wait(true, process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, "in vain"
        assert process is None or process.poll() is None, "the run has ended"
        time.sleep(0.1)
