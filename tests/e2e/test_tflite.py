"""Digits on a small machine: from shards to flatbuffers in every mode, measured and blessed; and trained for it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path

import pytest

from penstock.metadata import Store
from penstock.serving.manifest import verify
from tests.e2e.conftest import penstock, run, states

CONFIG = "configs/digits-tflite.yaml"
HERE = ["--set", "steps.predictions.enabled=false"]
"""What is no part of these claims is left out."""
MODES = ["float32", "dynamic_range", "float16", "int8", "int16x8"]


@pytest.fixture(scope="module")
def first(options):
    return run(CONFIG, *options, *HERE)


@pytest.fixture(scope="module")
def models(first, digits):
    """Mode → the artifact, as ML Metadata has it."""
    artifacts = Store(digits / "root/metadata.sqlite", "digits-tflite").outputs(first["run"], "tflite")["tflite_model"]
    return {str(artifact.properties["mode"]): artifact for artifact in artifacts}


def _trained(report, digits):
    (model,) = Store(digits / "root/metadata.sqlite", "digits-tflite").outputs(report["run"], "trainer")["model"]
    return Path(model.uri)


def test_int8_is_at_least_3_7_times_smaller_and_loses_at_most_a_point(models):
    assert list(models) == MODES
    sizes = {mode: int(artifact.properties["size_bytes"]) for mode, artifact in models.items()}
    assert sizes["float32"] / sizes["int8"] >= 3.7
    assert float(models["int8"].properties["drop"]) <= 0.01
    assert models["int8"].properties["blessed"] == 1


def test_what_is_too_large_is_not_blessed_and_says_so(models, first):
    assert models["float32"].properties["blessed"] == 0
    assert str(models["float32"].properties["reason"]).endswith(" MB, and at most 300 kB is allowed")
    (summary,) = first["summary"]["flatbuffers"]
    assert summary["step"] == "tflite"
    assert {each["mode"]: each["blessed"] for each in summary["modes"]} == {
        mode: artifact.properties["blessed"] == 1 for mode, artifact in models.items()
    }


def test_int8_is_int8_although_transform_is_inside(models):
    for mode in ("int8", "int16x8"):
        (result,) = json.loads(Path(models[mode].uri, "report.json").read_text())["modes"]
        assert result["float_ops"] == []
        assert result["ops"].keys() == {"MUL", "RESHAPE", "CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED", "SOFTMAX"}


def test_what_is_blessed_is_pushed(models, first, digits):
    blessed = [mode for mode, artifact in models.items() if artifact.properties["blessed"] == 1]
    (push,) = [push for push in first["summary"]["pushes"] if push["step"] == "devices"]
    assert (push["pushed"], push["version"], push["modes"]) == (True, "1", ", ".join(blessed))
    assert push["path"] == str(digits / "root/serving/digits-tflite/1")
    for mode in blessed:
        pushed = Path(push["path"], mode, "model.tflite")
        assert hashlib.sha256(pushed.read_bytes()).hexdigest() == models[mode].properties["digest"]
    assert {path.parent.name for path in Path(push["path"]).glob("*/model.tflite")} == set(blessed)


def test_every_mode_is_measured(models, first):
    report = json.loads(Path(first["summary"]["flatbuffers"][0]["report"]).with_name("report.json").read_text())
    assert (report["rows"], report["representative_rows"], report["not_folded"]) == (360, 200, [])
    float32 = report["modes"][0]
    assert float32["max_abs_error"] <= 1e-4
    assert float32["class_flips"] == 0
    for result in report["modes"]:
        assert [timing["threads"] for timing in result["latency"]] == [1, 2]
        assert result["arena_bytes"] > 0


def test_the_model_is_their_source(models, digits):
    store = sqlite3.connect(digits / "root/metadata.sqlite")
    query = """
        SELECT DISTINCT type.name FROM Event output JOIN Event input ON input.execution_id = output.execution_id
        JOIN Artifact artifact ON artifact.id = input.artifact_id JOIN Type type ON type.id = artifact.type_id
        WHERE output.artifact_id = ? AND output.type = 4 AND input.type = 3
    """
    for artifact in models.values():
        assert {name for (name,) in store.execute(query, [artifact.id])} == {"Model", "Examples", "TransformGraph"}


def test_again_everything_is_cached(first, options):
    again = run(CONFIG, *options, *HERE)
    assert set(states(again).values()) == {"cached"}
    assert again["summary"]["flatbuffers"] == first["summary"]["flatbuffers"]


def test_a_required_mode_outside_tolerance_fails_the_step(first, options):
    report = run(
        CONFIG,
        *options,
        *HERE,
        "--only",
        "tflite",
        "--set",
        "steps.tflite.with.gate.max_size=1kB",
        expect=1,
    )
    assert states(report)["tflite"] == "failed"
    (error,) = [step["error"] for step in report["steps"] if step["error"]]
    assert error["what"] == "int8 is required and not blessed"
    assert error["received"].endswith(" kB, and at most 1 kB is allowed")


def test_the_same_without_a_pipeline(first, digits):
    served = _trained(first, digits) / "Format-Serving"
    train, evaluation = (
        str(*(digits / "root/examples/examples").glob(f"*/Split-{split}/*")) for split in ("train", "eval")
    )
    output = digits / "converted"
    arguments = ["--representative", train, "--evaluate", evaluation, "--modes", "float32,int8", "--label", "label"]
    ended = penstock(
        *("convert", str(served), *arguments, "--output", str(output), "--set", "gate.metric=accuracy", "--json")
    )
    assert ended.returncode == 0, ended.stderr
    float32, int8 = json.loads(ended.stdout)["modes"]
    assert float32["size_bytes"] / int8["size_bytes"] >= 3.7
    assert int8["float_ops"] == []
    assert {"convert.log", "float32", "int8", "report.json", "report.md", "report.svg"} == {
        path.name for path in output.iterdir()
    }


@pytest.fixture(scope="module")
def aware(first, digits, options):
    """A run in floats, then one that goes on from its weights with rounding to 8 bits, both as int8 flatbuffers.

    What lies before the Trainer is taken from the first run.
    """
    few = {
        "steps.tflite.with.modes": "[float32, int8]",
        "steps.devices.with.destination.tflite_directory": digits / "root/serving/digits-aware",
        "steps.pusher.enabled": "false",
    }
    trainer = {
        "model_fn": "examples.digits.model.build_model",
        "label": "label",
        "epochs": 5,
        "keras": "tf_keras",
        "hparams": {"units": 64, "learning_rate": 0.006},
    }

    def train(**further):
        settings = few | {"steps.trainer.with": json.dumps(trainer | further)}
        return run(
            CONFIG, *options, *HERE, *(text for key, value in settings.items() for text in ("--set", f"{key}={value}"))
        )

    floating = train()
    warm = {"from": str(_trained(floating, digits) / "Format-Keras/model.keras")}
    slow = {"units": 64, "learning_rate": 0.001}
    return floating, train(quantize_aware=True, warm_start=warm, hparams=slow)


def _int8(report, digits):
    outputs = Store(digits / "root/metadata.sqlite", "digits-tflite").outputs(report["run"], "tflite")["tflite_model"]
    (found,) = (artifact.properties for artifact in outputs if artifact.properties["mode"] == "int8")
    return found


def test_int8_loses_no_more_than_after_training(aware, digits):
    after, rounded = (_int8(report, digits) for report in aware)
    assert (after["blessed"], rounded["blessed"]) == (1, 1)
    assert rounded["drop"] <= max(after["drop"], 0.0)
    assert rounded["metric_value"] >= after["metric_value"]
    assert rounded["mean_abs_error"] < after["mean_abs_error"]


def test_what_was_trained_for_it_is_pushed(aware, digits):
    for number, report in enumerate(aware, start=1):
        assert states(report)["devices"] == "ran"
        (push,) = (push for push in report["summary"]["pushes"] if push["step"] == "devices")
        folder = digits / "root/serving/digits-aware" / str(number)
        assert (push["pushed"], push["version"], push["path"]) == (True, str(number), str(folder))
        assert (folder / "int8" / "model.tflite").is_file()
        verify(folder)


def test_what_is_known_of_it(aware, digits):
    shown = penstock("models", "show", "digits-aware/2", "--in", str(digits / "root"))
    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "blessed by the Evaluator and the TFLiteConverter, published as version 2: " in lines["pushed"]
    assert "quantize_aware=True" in lines["trainer"]
    assert "int8 " in lines["tflite"]
