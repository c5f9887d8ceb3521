"""Equal vectors are stored once, and nothing else changes."""

import numpy as np
import pytest

from penstock.components.tflite_converter.compaction import compact
from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.folding import fix_shapes
from penstock.components.tflite_converter.inspection import inspect
from penstock.components.tflite_converter.litert import LiteRTModel
from penstock.errors import ArtifactError
from tests.components.tflite_converter.conftest import flatbuffer, save

WIDTH = 64
ROWS = np.random.default_rng(0).uniform(-1, 1, (8, WIDTH)).astype(np.float32)


@pytest.fixture(scope="module")
def written_out(tmp_path_factory):
    """An int8 flatbuffer of three layers, as TensorFlow writes it."""
    import tensorflow as tf

    layers = [
        tf.Variable(np.random.default_rng(seed).normal(size=(WIDTH, WIDTH)), dtype=tf.float32) for seed in range(3)
    ]

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, "x")])
    def predict(x):
        for layer in layers:
            x = tf.nn.relu(tf.matmul(x, layer))
        return {"y": x}

    folder = tmp_path_factory.mktemp("layers")
    save(folder / "model", {"predict": predict}, layers=layers)
    fix_shapes(folder / "model", {"predict": {"x": (1, WIDTH)}}, folder / "fixed")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "fixed"), signature_keys=["predict"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (("predict", {"x": row[None]}) for row in ROWS)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with pytest.warns(UserWarning, match=r"tf\.lite\.Interpreter is deprecated"):
        return bytes(converter.convert())


def test_zero_points_are_stored_once(written_out):
    smaller = compact(written_out, where="model")
    zero_points = WIDTH * 8
    # Those of the weights of three layers, and of their biases where there are any, in one place.
    assert len(written_out) - len(smaller) >= 2 * zero_points


def test_the_model_is_the_same(written_out):
    smaller = compact(written_out, where="model")
    before, after = inspect(written_out, where="before"), inspect(smaller, where="after")
    assert (after.signatures, after.ops) == (before.signatures, before.ops)
    was, now = (
        LiteRTModel(content, ("predict",), threads=1, where="model").ask("predict", {"x": ROWS})["y"]
        for content in (written_out, smaller)
    )
    np.testing.assert_array_equal(now, was)


def test_constants_begin_where_the_schema_demands(written_out):
    from ai_edge_litert import schema_py_generated as schema

    smaller = compact(written_out, where="model")
    model = schema.Model.GetRootAs(smaller, 0)
    whole = np.frombuffer(smaller, np.uint8)
    buffers = [model.Buffers(index) for index in range(model.BuffersLength())]
    starts = [
        buffer.DataAsNumpy().__array_interface__["data"][0] - whole.__array_interface__["data"][0]
        for buffer in buffers
        if buffer.DataLength()
    ]
    assert len(starts) >= 3
    assert all(start % 16 == 0 for start in starts)


def test_what_cannot_be_smaller_stays_as_it_is(written_out):
    smaller = compact(written_out, where="model")
    assert compact(smaller, where="model") == smaller


def test_what_is_no_model():
    with pytest.raises(ArtifactError, match="model: this is no whole LiteRT model"):
        compact(b"no model", where="model")


def test_the_converter_compacts(classifier):
    content = flatbuffer(classifier, "float32", TFLiteConverterConfig(batch="dynamic"))
    assert compact(content, where="model") == content
