"""What is in a flatbuffer, read from its bytes."""

import dataclasses
import hashlib
import random
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.folding import fix_shapes
from penstock.components.tflite_converter.inspection import inspect, inspect_file, layer_of
from penstock.errors import ArtifactError
from tests.components.tflite_converter.conftest import flatbuffer


def calls():
    for low in (0.0, 5.0):
        yield "predict", {"x": np.arange(low, low + 6, dtype=np.float32)[None]}


@pytest.fixture(scope="module")
def fixed(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed") / "model"
    fix_shapes(classifier, {"predict": {"x": (1, 6)}}, folder)
    return folder


@pytest.fixture(scope="module")
def int8(fixed):
    return flatbuffer(fixed, "int8", TFLiteConverterConfig(), calls)


def test_an_int8_model_is_int8_through_and_through(int8):
    found = inspect(int8, where="int8")
    assert found.size == len(int8)
    assert found.digest == hashlib.sha256(int8).hexdigest()
    assert found.op_counts == {"FULLY_CONNECTED": 1, "SOFTMAX": 1}
    assert found.float_ops == ()
    assert found.tensorflow_ops == ()
    (signature,) = found.signatures
    assert signature.name == "predict"
    assert (signature.inputs["x"].dtype, signature.inputs["x"].shape) == ("int8", (1, 6))
    quantization = signature.outputs["probabilities"].quantization
    assert quantization is not None
    assert (quantization.scales, quantization.zero_points, quantization.axis) == ((1 / 256,), (-128,), None)


def test_weights_have_a_scale_for_each_output(int8):
    (dense,) = (op for op in inspect(int8, where="int8").ops if op.name == "FULLY_CONNECTED")
    weights = next(tensor for tensor in dense.inputs if tensor.constant and tensor.dtype == "int8")
    assert weights.shape == (3, 6)
    assert weights.quantization is not None
    assert len(weights.quantization.scales) == 3
    assert weights.quantization.axis == 0
    assert set(weights.quantization.zero_points) == {0}


def test_float_io_leaves_bridges_at_the_border_and_no_float_op(fixed):
    config = TFLiteConverterConfig.model_validate({"io": {"int8": "float32"}})
    found = inspect(flatbuffer(fixed, "int8", config, calls), where="int8")
    assert found.op_counts["QUANTIZE"] == found.op_counts["DEQUANTIZE"] == 1
    assert [op.at_border for op in found.ops] == [True, False, False, True]
    assert found.float_ops == ()
    assert found.signatures[0].inputs["x"].dtype == "float32"


def test_the_scalers_float_ops_are_seen_where_the_batch_is_open(classifier):
    """TensorFlow's converter calls this model int8."""
    found = inspect(flatbuffer(classifier, "int8", TFLiteConverterConfig(batch="dynamic"), calls), where="int8")
    assert {"ZEROS_LIKE", "CAST"} <= {op.name for op in found.float_ops}
    assert "zeros_like" in {op.layer for op in found.float_ops}
    assert found.signatures[0].inputs["x"].shape == (None, 6)


def test_a_tensorflow_op_is_named(cholesky):
    config = TFLiteConverterConfig(batch="dynamic", allow_select_tf_ops=True)
    found = inspect(flatbuffer(cholesky, "float32", config, calls), where="flex")
    assert found.tensorflow_ops == ("FlexCholesky",)
    assert [(op.name, op.layer) for op in found.ops] == [("FlexCholesky", "whitening/Cholesky"), ("RELU", "")]


def test_several_signatures(classifier):
    config = TFLiteConverterConfig(batch="dynamic", signature=("predict", "probabilities_and_score"))
    found = inspect(flatbuffer(classifier, "float32", config, calls), where="two")
    assert [(each.name, sorted(each.outputs)) for each in found.signatures] == [
        ("predict", ["probabilities"]),
        ("probabilities_and_score", ["probabilities", "score"]),
    ]


def test_a_model_without_signatures_has_its_tensors(int8):
    from ai_edge_litert.tools import flatbuffer_utils

    model = flatbuffer_utils.convert_bytearray_to_object(bytearray(int8))
    model.signatureDefs = []
    found = inspect(bytes(flatbuffer_utils.convert_object_to_bytearray(model)), where="old")
    (signature,) = found.signatures
    assert signature.name == ""
    assert list(signature.inputs) == ["predict_x:0"]


@pytest.mark.parametrize("length", [0, 3, 8, 100, -1])
def test_a_file_that_was_cut_off(int8, tmp_path, length):
    file = tmp_path / "cut.tflite"
    file.write_bytes(int8[:length])
    with pytest.raises(ArtifactError) as raised:
        inspect_file(file)
    assert str(raised.value) == (
        f"{file}: this is no whole LiteRT model: The model is not a valid Flatbuffer buffer\n"
        f"  received: {len(int8[:length])} bytes\n"
        "  expected: a .tflite file, complete\n"
        "  next: convert it again, or copy it again if it was cut off"
    )


def test_damaged_files_end_in_an_error_or_an_answer(int8):
    chance = random.Random(0)
    for _ in range(500):
        damaged = bytearray(int8)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        with suppress(ArtifactError):
            assert inspect(bytes(damaged), where="damaged").size == len(int8)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ArtifactError, match=r"nothing\.tflite: there is no such file\n  expected: a \.tflite file"):
        inspect_file(tmp_path / "nothing.tflite")


def test_inspections_compare_by_value(int8):
    found = inspect(int8, where="int8")
    assert dataclasses.replace(found) == inspect(int8, where="elsewhere")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("StatefulPartitionedCall/functional_1/dense/Relu;functional_1/dense/BiasAdd", "functional_1/dense/Relu"),
        ("my_layer/Cholesky@__inference_f_14", "my_layer/Cholesky"),
        ("StatefulPartitionedCall:0", ""),
    ],
)
def test_layers(name, layer):
    assert layer_of(name) == layer


def test_it_needs_no_tensorflow(int8, tmp_path):
    file = tmp_path / "model.tflite"
    file.write_bytes(int8)
    code = (
        "import sys, pathlib; from penstock.components.tflite_converter.inspection import inspect_file; "
        f"inspect_file(pathlib.Path({str(file)!r})); assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
