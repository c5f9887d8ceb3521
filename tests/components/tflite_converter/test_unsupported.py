"""A converter's refusal, in words."""

import pytest

from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.modes import to_flatbuffer
from penstock.components.tflite_converter.unsupported import Refusal, refusal_of
from tests.components.tflite_converter.conftest import no_calls, save


def test_an_op_that_litert_has_not_is_named_with_its_layer_and_the_remedy(cholesky):
    assert to_flatbuffer(cholesky, "float32", TFLiteConverterConfig(), no_calls) == Refusal(
        "LiteRT has no Cholesky (layer whitening/Cholesky)",
        "set `allow_select_tf_ops: true` to keep it as a TensorFlow op, or compute it by other ops",
    )


def test_an_op_that_nobody_has(tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([2], tf.float32, "x")])
    def predict(x):
        with tf.name_scope("odds"):
            return {"y": tf.raw_ops.Betainc(a=x + 1.0, b=x + 1.0, x=x)}

    save(tmp_path / "model", {"predict": predict})
    refused = to_flatbuffer(tmp_path / "model", "float32", TFLiteConverterConfig(allow_select_tf_ops=True), no_calls)
    assert refused == Refusal(
        "LiteRT and TensorFlow's Flex delegate have no Betainc (layer odds/Betainc)",
        "compute it outside of the model, or by other ops",
    )


def test_a_calibration_that_would_need_tensorflow(cholesky):
    def calls():
        import numpy as np

        yield "predict", {"x": np.eye(2, dtype=np.float32)[None]}

    refused = to_flatbuffer(cholesky, "int8", TFLiteConverterConfig(allow_select_tf_ops=True), calls)
    assert refused == Refusal("calibrating would run TensorFlow's Cholesky, and LiteRT here has no Flex delegate")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            RuntimeError(
                "Quantization to 16x8-bit not yet supported for op: 'ZEROS_LIKE'.\n"
                "Quantization to 16x8-bit not yet supported for op: 'CAST'.\n"
            ),
            "LiteRT cannot quantize ZEROS_LIKE, CAST",
        ),
        (ValueError("one\n\ntwo\none"), "the converter failed: one | two"),
        (ValueError("a" * 500), f"the converter failed: {'a' * 160} …"),
        (
            RuntimeError(
                'Failed.<unknown>:0: error: loc(callsite(fused["Add:", "f/Add@g"] at "Call")): \'tfl.add\' op is odd\n'
                '<unknown>:0: note: loc("f/Add"): called from\n'
            ),
            "the converter failed: 'tfl.add' op is odd | called from",
        ),
        (ValueError(), "the converter failed: ValueError"),
    ],
)
def test_other_refusals(error, reason):
    assert refusal_of(error).reason == reason
