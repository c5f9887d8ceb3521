"""Digits trained with and without rounding to 8 bits, both as int8 flatbuffers, and pushed as such."""

from __future__ import annotations

import json

import pytest

from penstock.metadata import Store
from penstock.serving.manifest import verify
from tests.e2e.conftest import penstock, run, states

CONFIG = "configs/digits-tflite.yaml"


@pytest.fixture(scope="module")
def trained(digits):
    """A run in floats, then one that goes on from its weights with rounding to 8 bits."""
    trainer = {
        "model_fn": "examples.digits.model.build_model",
        "label": "label",
        "epochs": 5,
        "keras": "tf_keras",
        "hparams": {"units": 64, "learning_rate": 0.006},
    }
    floating = _run(digits, trainer)
    (weights,) = (digits / "root/trainer/model").glob("*/Format-Keras/model.keras")
    aware = {"quantize_aware": True, "warm_start": {"from": str(weights)}}
    return floating, _run(digits, {**trainer, **aware, "hparams": {"units": 64, "learning_rate": 0.001}})


def _run(digits, trainer):
    settings = {
        "root": digits / "root",
        "steps.examples.with.input_base": digits / "data",
        "steps.trainer.with": json.dumps(trainer),
    }
    return run(CONFIG, *(text for key, value in settings.items() for text in ("--set", f"{key}={value}")))


def _int8(report, digits):
    outputs = Store(digits / "root/metadata.sqlite", "digits-tflite").outputs(report["run"], "tflite")["tflite_model"]
    (found,) = (artifact.properties for artifact in outputs if artifact.properties["mode"] == "int8")
    return found


def test_int8_loses_no_more_than_after_training(trained, digits):
    after, aware = (_int8(report, digits) for report in trained)
    assert (after["blessed"], aware["blessed"]) == (1, 1)
    assert aware["drop"] <= max(after["drop"], 0.0)
    assert aware["metric_value"] >= after["metric_value"]
    assert aware["mean_abs_error"] < after["mean_abs_error"]


def test_what_is_blessed_is_pushed(trained, digits):
    for number, report in enumerate(trained, start=1):
        assert states(report)["devices"] == "ran"
        (push,) = (push for push in report["summary"]["pushes"] if push["step"] == "devices")
        folder = digits / "root/serving/digits-tflite" / str(number)
        assert (push["pushed"], push["version"], push["path"]) == (True, str(number), str(folder))
        assert (folder / "int8" / "model.tflite").is_file()
        verify(folder)


def test_what_is_known_of_it(trained, digits):
    shown = penstock("models", "show", "digits-tflite/2", "--in", str(digits / "root"))
    assert shown.returncode == 0, shown.stderr
    lines = {line.split()[0]: line for line in shown.stdout.splitlines()}
    assert "blessed by the Evaluator and the TFLiteConverter, published as version 2: " in lines["pushed"]
    assert "quantize_aware=True" in lines["config"]
    assert "int8 " in lines["tflite"]
