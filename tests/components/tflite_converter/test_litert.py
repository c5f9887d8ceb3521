"""A flatbuffer answers in real numbers, whatever it holds and however many rows it takes at once."""

import numpy as np
import pytest

from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.folding import fix_shapes
from penstock.components.tflite_converter.litert import LiteRTModel, part
from penstock.errors import ArtifactError
from tests.components.tflite_converter.conftest import flatbuffer

ROWS = np.array([[9, 9, 1, 1, 1, 1], [1, 1, 9, 9, 1, 1], [1, 1, 1, 1, 9, 9]], np.float32)


def convert(saved_model, tmp_path, batch=2, **config):
    source = saved_model
    if batch is not None:
        source = tmp_path / "fixed"
        fix_shapes(saved_model, {"predict": {"x": (batch, 6)}}, source)
        config["batch"] = batch

    def calls():
        for row in ROWS:
            yield "predict", {"x": np.repeat(row[None], batch or 1, axis=0)}

    (mode,) = config["modes"]
    content = flatbuffer(source, mode, TFLiteConverterConfig.model_validate(config), calls)
    return LiteRTModel(content, ("predict",), threads=1, where="model.tflite")


@pytest.mark.parametrize("batch", [2, None])
def test_three_rows_are_answered(classifier, tmp_path, batch):
    model = convert(classifier, tmp_path, batch, modes=["float32"])
    assert model.batch("predict") == batch
    answer = model.ask("predict", {"x": ROWS})["probabilities"]
    assert answer.shape == (3, 3)
    assert answer.argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize(("kind", "dtype"), [("int8", np.int8), ("uint8", np.uint8), ("float32", np.float32)])
def test_integers_are_turned_into_real_numbers(classifier, tmp_path, kind, dtype):
    model = convert(classifier, tmp_path, modes=["int8"], io={"int8": kind})
    encoded = model.encode("predict", {"x": ROWS[:2]})
    assert encoded["x"].dtype == dtype
    assert model.call("predict", encoded)["probabilities"].dtype == dtype
    answer = model.ask("predict", {"x": ROWS})["probabilities"]
    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer.sum(axis=1), 1, atol=0.02)
    assert answer.argmax(axis=1).tolist() == [0, 1, 2]


def test_values_outside_the_calibrated_range_are_clipped(classifier, tmp_path):
    model = convert(classifier, tmp_path, modes=["int8"])
    extremes = np.array([[1e9, -1e9, np.nan, 9, 1, 0]] * 2, np.float32)
    encoded = model.encode("predict", {"x": extremes})["x"]
    assert encoded[0, :2].tolist() == [127, -128]
    assert encoded[0, 2] == encoded[0, 5]


def test_the_last_row_fills_a_batch():
    rows = np.arange(3)
    assert part(rows, 0, 2).tolist() == [0, 1]
    assert part(rows, 2, 2).tolist() == [2, 2]
    assert part(rows, 0, 5).tolist() == [0, 1, 2, 2, 2]


def test_what_litert_cannot_run():
    with pytest.raises(ArtifactError) as raised:
        LiteRTModel(b"no model", ("predict",), threads=1, where="model.tflite")
    assert str(raised.value).startswith("model.tflite: LiteRT cannot run the model: ")


def test_a_call_that_litert_refuses(classifier, tmp_path):
    model = convert(classifier, tmp_path, modes=["float32"])
    with pytest.raises(ArtifactError, match="LiteRT cannot run the model"):
        model.call("predict", {"y": ROWS[:2]})
