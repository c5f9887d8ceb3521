"""Which signatures of a SavedModel can be converted."""

import numpy as np
import pytest

from penstock.components.tflite_converter.original import Original, convertible
from penstock.errors import ArtifactError
from tests.components.tflite_converter.conftest import save


def refused(saved_model, *names):
    with pytest.raises(ArtifactError) as raised:
        convertible(saved_model, names)
    return str(raised.value)


def test_the_named_ones_in_their_order(classifier):
    found = convertible(classifier, ["probabilities_and_score", "predict"])
    assert [signature.name for signature in found] == ["probabilities_and_score", "predict"]


def test_no_such_signature(classifier):
    assert refused(classifier, "predct") == (
        f"{classifier}: the SavedModel has no signature 'predct'\n"
        "  received: signatures predict, probabilities_and_score, serving_default\n"
        "  expected: one of predict(x: float32), probabilities_and_score(x: float32)\n"
        "  next: did you mean 'predict'?"
    )


def test_a_string_input(classifier):
    assert refused(classifier, "predict", "serving_default") == (
        f"{classifier}: signature 'serving_default' cannot be converted: its input examples is text, which is parsed "
        "by ops that LiteRT has not\n"
        "  received: serving_default(examples: string)\n"
        "  expected: one of predict(x: float32), probabilities_and_score(x: float32)"
    )


def test_nothing_that_can_be_converted(tmp_path):
    import tensorflow as tf

    @tf.function(input_signature=[])
    def constant():
        return {"y": tf.constant(1.0)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, "x")])
    def anything(x):
        return {"y": x}

    model = save(tmp_path / "model", {"constant": constant, "anything": anything})
    assert refused(model, "constant") == (
        f"{model}: signature 'constant' cannot be converted: it takes no inputs\n"
        "  received: constant()\n"
        "  expected: a signature that takes numbers by name\n"
        "  next: export one of transformed features by the Trainer's `serving_fn`, and set `features: transformed`"
    )
    assert "signature 'anything' cannot be converted: the shape of its inputs is not known" in refused(
        model, "anything"
    )


def test_what_is_no_saved_model(tmp_path):
    assert refused(tmp_path, "predict").startswith(f"{tmp_path}: the folder holds no SavedModel")


def test_it_answers(classifier):
    answer = Original(classifier).ask("predict", {"x": np.array([[9, 9, 0, 0, 0, 0]], np.float32)})
    assert answer["probabilities"].argmax() == 0


def test_what_it_cannot_answer(classifier):
    with pytest.raises(ArtifactError, match="signature 'predict' cannot answer: "):
        Original(classifier).ask("predict", {"x": np.zeros((1, 5), np.float32)})


def test_a_model_that_cannot_be_loaded(classifier, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes((classifier / "saved_model.pb").read_bytes())
    with pytest.raises(ArtifactError, match="the SavedModel cannot be loaded: "):
        Original(tmp_path)
