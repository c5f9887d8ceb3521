"""From a SavedModel and rows to measured flatbuffers."""

import json
import re

import pytest

from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.convert import ConvertRequest, convert
from penstock.components.tflite_converter.rows import RowFiles
from penstock.errors import ArtifactError, ConfigError, PenstockError
from tests.components.tflite_converter.conftest import save, write_rows

FAST = {"runs": 5, "warm_up": 1}


@pytest.fixture
def request_for(rows, tmp_path):
    def make(saved_model, *, files=rows, label="label", **config):
        (tmp_path / "out").mkdir()
        parameters = TFLiteConverterConfig.model_validate({"measure": FAST, **config})
        representative, evaluation = (RowFiles((str(files),), 60, f"split {name!r}") for name in ("train", "eval"))
        return ConvertRequest(saved_model, parameters, representative, evaluation, tmp_path / "out", label)

    return make


def test_every_mode_of_a_model_with_a_scaler_inside(classifier, request_for, tmp_path):
    gate = {"metric": "accuracy", "max_drop": 0.02, "max_abs_error": {"float32": 1e-4}, "required": ["int8"]}
    measure = {**FAST, "threads": [1, 2]}
    found = convert(request_for(classifier, gate=gate, measure=measure))
    assert (found.rows, found.representative_rows, found.baseline, found.unfolded) == (60, 60, 1.0, ())
    assert {result.mode: result.verdict.blessed for result in found.results} == {
        "float32": True,
        "dynamic_range": True,
        "float16": True,
        "int8": True,
        "int16x8": True,
    }
    for result in found.results:
        assert result.figures is not None
        assert result.figures.comparison is not None
        assert result.figures.comparison.metric == 1.0
        assert [timing.threads for timing in result.figures.timings] == [1, 2]
        assert all(timing.latency.runs == 5 and timing.ratio > 0 for timing in result.figures.timings)
        assert result.figures.arena_bytes is not None
        assert (tmp_path / "out" / result.mode / "model.tflite").stat().st_size == result.figures.inspection.size
    int8, int16 = found.results[3].figures, found.results[4].figures
    assert int8 is not None
    assert int16 is not None
    assert int8.inspection.float_ops == int16.inspection.float_ops == ()
    types = [figures.inspection.signatures[0].inputs["x"].dtype for figures in (int8, int16)]
    assert types == ["int8", "int16"]
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [result["mode"] for result in report["modes"]] == [result.mode for result in found.results]


def test_an_open_batch(classifier, request_for):
    found = convert(request_for(classifier, batch="dynamic", modes=["float32", "int8"]))
    float32, int8 = found.results
    assert (found.batch, float32.verdict.blessed) == (None, True)
    assert float32.figures is not None
    assert float32.figures.inspection.signatures[0].inputs["x"].shape == (None, 6)
    assert not int8.verdict.blessed
    assert re.fullmatch(r"\d+ float ops left: .*ZEROS_LIKE.*; a fixed `batch` may have none", int8.verdict.reason)


def test_a_batch_of_several_rows(classifier, request_for):
    found = convert(request_for(classifier, batch=7, modes=["int8"], gate={"metric": "accuracy"}))
    (int8,) = found.results
    assert int8.figures is not None
    assert int8.figures.comparison is not None
    assert (found.rows, int8.figures.comparison.metric) == (60, 1.0)
    assert int8.figures.inspection.signatures[0].inputs["x"].shape == (7, 6)


def test_several_signatures(classifier, request_for):
    names = ["predict", "probabilities_and_score"]
    found = convert(request_for(classifier, signature=names, modes=["float32", "int8"], gate={"metric": "accuracy"}))
    assert all(result.verdict.blessed for result in found.results)
    for result in found.results:
        assert result.figures is not None
        assert [signature.name for signature in result.figures.inspection.signatures] == names


def test_an_output_is_chosen(classifier, request_for):
    gate = {"metric": "accuracy"}
    config = {"signature": "probabilities_and_score", "modes": ["float32"], "gate": gate}
    found = convert(request_for(classifier, output="probabilities", **config))
    assert found.baseline == 1.0


def test_several_outputs_and_none_chosen(classifier, request_for):
    config = {"signature": "probabilities_and_score", "modes": ["float32"], "gate": {"metric": "accuracy"}}
    with pytest.raises(ArtifactError, match="the signature has several outputs\n  received: probabilities, score"):
        convert(request_for(classifier, **config))


def test_a_required_mode_outside_tolerance(classifier, request_for):
    gate = {"max_size": "100", "required": ["int8"]}
    with pytest.raises(ArtifactError) as raised:
        convert(request_for(classifier, modes=["float32", "int8"], gate={**gate, "max_size": 100}))
    assert re.fullmatch(
        r"int8 is required and not blessed\n"
        r"  received: int8: [\d.]+ kB, and at most 100 bytes is allowed\n"
        r"  expected: a flatbuffer within the limits of `gate`\n"
        r"  next: the log has the whole table; loosen the limit, or take the mode out of `gate.required`",
        str(raised.value),
    )


def test_an_unsupported_op(cholesky, request_for, tmp_path):
    rows = write_rows(tmp_path / "rows", [{"x": [1.0, 0.0, 0.0, 1.0]}] * 3)
    with pytest.raises(ArtifactError) as raised:
        convert(request_for(cholesky, files=rows, modes=["float32", "int8"]))
    assert str(raised.value) == (
        f"{cholesky}: the model cannot be converted: LiteRT has no Cholesky (layer whitening/Cholesky)\n"
        "  received: signature predict in the modes float32, int8\n"
        "  expected: ops that LiteRT has\n"
        "  next: set `allow_select_tf_ops: true` to keep it as a TensorFlow op, or compute it by other ops"
    )


def test_tensorflow_ops_are_converted_and_not_measured(cholesky, request_for, tmp_path):
    rows = write_rows(tmp_path / "rows", [{"x": [1.0, 0.0, 0.0, 1.0]}] * 3)
    found = convert(request_for(cholesky, files=rows, modes=["float32", "int8"], allow_select_tf_ops=True))
    assert [(result.mode, result.verdict.reason) for result in found.results] == [
        ("float32", "not measured: LiteRT here has no Flex delegate, which FlexCholesky takes"),
        (
            "int8",
            "not converted: calibrating would run TensorFlow's Cholesky, and LiteRT here has no Flex delegate",
        ),
    ]
    assert (tmp_path / "out/float32/model.tflite").is_file()
    assert [path.name for path in (tmp_path / "out/int8").iterdir()] == ["report.json"]


def test_one_mode_that_cannot_be_quantized(request_for, tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.float32, "x")])
    def predict(x):
        return {"y": tf.cumsum(tf.nn.relu(x), axis=1)}

    model = save(tmp_path / "model", {"predict": predict})
    found = convert(request_for(model, modes=["float32", "int16x8"]))
    float32, int16 = found.results
    assert float32.verdict.blessed
    assert int16.verdict.reason == (
        "not converted: LiteRT cannot quantize CUMSUM "
        "(leave the mode out, set `allow_float_ops: true`, or compute it by other ops)"
    )
    assert int16.figures is None


def test_open_lengths_take_those_of_the_representative_rows(request_for, tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32, "x")])
    def predict(x):
        return {"y": tf.reduce_sum(tf.where(tf.math.is_nan(x), 0.0, x), axis=1, keepdims=True)}

    model = save(tmp_path / "model", {"predict": predict})
    rows = write_rows(tmp_path / "rows", [{"x": [1.0, 2.0, 3.0]}, {"x": [4.0]}, {"x": []}])
    (float32,) = convert(request_for(model, files=rows, modes=["float32"])).results
    assert float32.figures is not None
    assert float32.figures.comparison is not None
    assert float32.figures.comparison.max_abs_error == 0
    assert float32.figures.inspection.signatures[0].inputs["x"].shape == (1, 3)


def test_a_metric_needs_a_label(classifier, request_for):
    with pytest.raises(ConfigError) as raised:
        convert(request_for(classifier, label=None, gate={"metric": "accuracy"}))
    assert str(raised.value) == (
        "the metric 'accuracy' needs a label, and none is known\n"
        "  received: no `label`, and a model that no Trainer of Penstock's made\n"
        "  expected: `label`: the name of the label feature"
    )


def test_transformed_features_need_their_graph(classifier, request_for):
    with pytest.raises(ConfigError) as raised:
        convert(request_for(classifier, features="transformed"))
    assert str(raised.value) == (
        "transformed features need the graph that makes them\n"
        "  received: features: transformed, without a transform graph\n"
        "  next: wire transform_graph: <step>.transform_graph"
    )


def test_a_representative_split_without_rows(classifier, request_for, tmp_path):
    rows = write_rows(tmp_path / "rows", [])
    with pytest.raises(PenstockError, match="split 'train' has no rows"):
        convert(request_for(classifier, files=rows, modes=["int8"]))


def test_float_modes_need_no_representative_rows(classifier, request_for):
    found = convert(request_for(classifier, modes=["float32", "dynamic_range"]))
    assert found.representative_rows == 0
