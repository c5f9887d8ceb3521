"""How much memory the tensors of a call take."""

from pathlib import Path

import numpy as np
import pytest

from penstock.components.tflite_converter.arena import _Plan, arena_bytes, measure
from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.folding import fix_shapes
from tests.components.tflite_converter.conftest import flatbuffer

BATCH = 16
PLACE = 64
"""Tensors begin at multiples of so many bytes."""


@pytest.fixture(scope="module")
def fixed(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fixed") / "model"
    fix_shapes(classifier, {"predict": {"x": (BATCH, 6)}}, folder)
    return folder


def arena(saved_model, mode, tmp_path):
    def calls():
        yield "predict", {"x": np.ones((BATCH, 6), np.float32)}

    content = flatbuffer(saved_model, mode, TFLiteConverterConfig(), calls)
    file = tmp_path / "model.tflite"
    file.write_bytes(content)
    return arena_bytes(file)


@pytest.mark.parametrize(("mode", "size"), [("float32", 4), ("int16x8", 2), ("int8", 1)])
def test_it_holds_the_inputs_and_what_becomes_of_them(fixed, tmp_path, mode, size):
    inputs, sums, probabilities = (BATCH * columns * size for columns in (6, 3, 3))
    found = arena(fixed, mode, tmp_path)
    assert found is not None
    assert max(inputs + sums, sums + probabilities) <= found <= inputs + 2 * sums + probabilities + 3 * PLACE


def test_weights_that_are_unpacked_count_too(fixed, tmp_path):
    half, whole = arena(fixed, "float16", tmp_path), arena(fixed, "float32", tmp_path)
    assert half is not None
    assert whole is not None
    assert half - whole == (6 * 3 + 3) * 4  # One weight for each input and class, one bias a class.


def test_what_cannot_be_told(classifier, tmp_path):
    content = flatbuffer(classifier, "float32", TFLiteConverterConfig(batch="dynamic"))
    (tmp_path / "damaged.tflite").write_bytes(content[:-1])
    assert arena_bytes(tmp_path / "damaged.tflite") is None
    assert arena_bytes(tmp_path / "nothing.tflite") is None


def test_sizes_that_only_a_call_tells_are_not_guessed(monkeypatch):
    plans = iter([arena_of(((0, 64), (64, 16))), arena_of(((0, 64), (4096, 16)))] + [arena_of(((0, 64), (64, 16)))] * 2)
    monkeypatch.setattr("penstock.components.tflite_converter.arena._plan", lambda file: next(plans))
    assert measure(Path("model.tflite")) is None
    assert measure(Path("model.tflite")) == 80 + 7


def arena_of(places):
    return _Plan(places, unpacked=7)
