"""TFX's dictionaries in, one artifact a mode out."""

import json
import shutil
from types import SimpleNamespace

import pytest
from tfx.types import standard_artifacts

from penstock.components.artifacts import TFLiteModel
from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.executor import Executor
from penstock.errors import ArtifactError


@pytest.fixture
def run(classifier, rows, tmp_path):
    model, examples = standard_artifacts.Model(), standard_artifacts.Examples()
    model.uri = str(tmp_path / "model")
    shutil.copytree(classifier, tmp_path / "model/Format-Serving")
    model.set_string_custom_property("label", "label")
    examples.uri, examples.split_names = str(tmp_path / "examples"), '["train", "eval"]'
    for split in ("train", "eval"):
        (tmp_path / f"examples/Split-{split}").mkdir(parents=True)
        shutil.copy(rows, tmp_path / f"examples/Split-{split}/data-00000-of-00001.gz")

    def run(**config):
        output = TFLiteModel()
        output.uri = str(tmp_path / "out")
        (tmp_path / "out").mkdir()
        outputs = {"tflite_model": [output]}
        parameters = TFLiteConverterConfig.model_validate({"measure": {"runs": 5}, **config})
        inputs = {"model": [model], "examples": [examples]}
        Executor().Do(inputs, outputs, {"config": parameters.model_dump_json()})
        return outputs["tflite_model"]

    return SimpleNamespace(convert=run, examples=examples)


def test_one_artifact_a_mode(run, tmp_path):
    gate = {"metric": "accuracy", "max_size": {"float32": 1}}
    float32, int8 = run.convert(modes=["float32", "int8"], gate=gate)
    assert [artifact.uri for artifact in (float32, int8)] == [str(tmp_path / "out/float32"), str(tmp_path / "out/int8")]
    assert [artifact.type_name for artifact in (float32, int8)] == ["TFLiteModel"] * 2
    assert (float32.mode, float32.blessed) == ("float32", 0)
    assert float32.reason.endswith(" kB, and at most 1 bytes is allowed")
    assert (int8.mode, int8.blessed, int8.signatures) == ("int8", 1, "predict")
    assert int8.reason.startswith("within tolerance: ")
    assert int8.size_bytes == (tmp_path / "out/int8/model.tflite").stat().st_size
    assert (int8.metric, int8.metric_value, int8.baseline_value, int8.drop) == ("accuracy", 1.0, 1.0, 0.0)
    assert 0 < int8.mean_abs_error < int8.max_abs_error < 0.1
    assert int8.class_flips == 0
    assert int8.latency_p50_us > 0
    assert int8.latency_ratio > 0
    report = json.loads((tmp_path / "out/int8/report.json").read_text())
    assert report["modes"][0]["digest"] == int8.digest
    assert report["modes"][0]["arena_bytes"] == int8.arena_bytes


def test_what_was_not_measured_is_not_set(run):
    (float32,) = run.convert(modes=["float32"])
    names = set(float32.mlmd_artifact.properties)
    assert {"mode", "blessed", "reason", "size_bytes", "max_abs_error"} <= names
    assert {"metric", "metric_value", "baseline_value", "drop"}.isdisjoint(names)


def test_the_configs_label_wins(run):
    with pytest.raises(ArtifactError, match="the metric 'accuracy' cannot be computed"):
        run.convert(modes=["float32"], label="name", gate={"metric": "accuracy"})


def test_a_split_that_is_not_there(run):
    with pytest.raises(ArtifactError) as raised:
        run.convert(representative={"split": "trian"})
    assert str(raised.value) == (
        f"{run.examples.uri}: the examples have no split 'trian'\n"
        "  received: trian\n"
        "  expected: one of train, eval\n"
        "  next: did you mean 'train'?"
    )


def test_rows_that_are_no_tf_examples(run):
    run.examples.set_string_custom_property("payload_format", "FORMAT_PROTO")
    with pytest.raises(ArtifactError, match=r"the TFLiteConverter reads tf\.Examples only\n  received: FORMAT_PROTO"):
        run.convert()
