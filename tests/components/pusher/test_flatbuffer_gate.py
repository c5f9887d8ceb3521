from __future__ import annotations

from pathlib import Path

import pytest

from penstock.components.pusher.flatbuffer_gate import FlatbufferReport, ask, pass_flatbuffer_gate
from penstock.errors import ArtifactError

BY_HAND = "ask it by hand: python -m penstock.components.pusher.flatbuffer_gate FOLDER"


def version_of(folder: Path, **modes: bytes) -> Path:
    for mode, content in modes.items():
        (folder / mode).mkdir(parents=True)
        (folder / mode / "model.tflite").write_bytes(content)
    return folder


def test_in_a_process_of_its_own(tmp_path: Path, flatbuffer: bytes):
    report = pass_flatbuffer_gate(version_of(tmp_path / "model", int8=flatbuffer, float32=flatbuffer), 300)
    assert report == FlatbufferReport({"float32": ["double", "half"], "int8": ["double", "half"]})
    assert str(report) == (
        "the LiteRT interpreter answered in a clean process: float32 (double, half); int8 (double, half)"
    )


def test_a_refusal_comes_back_from_the_process(tmp_path: Path, flatbuffer: bytes):
    version = version_of(tmp_path / "model", float32=flatbuffer, int8=flatbuffer[:-1])
    with pytest.raises(ArtifactError) as caught:
        pass_flatbuffer_gate(version, 300)
    assert str(caught.value) == (
        f"{version}/int8/model.tflite: the flatbuffer did not pass the predict gate: The model is not a valid "
        "Flatbuffer buffer\n"
        "  expected: a model.tflite that the LiteRT interpreter loads in a clean process, and whose signatures answer\n"
        f"  next: {BY_HAND}"
    )


@pytest.mark.parametrize("length", [0, 1, 100, 0.25, 0.5, 0.9])
def test_a_truncated_flatbuffer(tmp_path: Path, flatbuffer: bytes, length: float):
    cut = int(length if length >= 1 else length * len(flatbuffer))
    with pytest.raises(ArtifactError, match="the flatbuffer did not pass the predict gate: ") as caught:
        ask(version_of(tmp_path, int8=flatbuffer[:cut]))
    assert caught.value.where == str(tmp_path / "int8" / "model.tflite")


def test_a_file_that_is_no_flatbuffer(tmp_path: Path):
    with pytest.raises(ArtifactError, match="did not pass the predict gate: The model is not a valid Flatbuffer"):
        ask(version_of(tmp_path, int8=b"no flatbuffer" * 100))


def test_a_flatbuffer_without_signatures(tmp_path: Path):
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([1, 2], tf.float32)])  # type: ignore[untyped-decorator, unused-ignore]
    def double(x: object) -> object:
        return tf.add(x, x)

    converter = tf.lite.TFLiteConverter.from_concrete_functions([double.get_concrete_function()], double)
    with pytest.raises(ArtifactError, match="did not pass the predict gate: it has no signature") as caught:
        ask(version_of(tmp_path, float32=converter.convert()))
    assert caught.value.hint == "convert the model with its signatures"
