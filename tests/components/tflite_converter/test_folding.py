"""A SavedModel of fixed shapes has nothing left to compute but what depends on the rows."""

from typing import Any

import numpy as np
import tensorflow as tf

from penstock.components.tflite_converter.folding import fix_shapes
from penstock.serving.saved_model import TensorInfo, read_signatures
from tests.components.tflite_converter.conftest import save


def ops_of(folder):
    signature = tf.saved_model.load(str(folder)).signatures["predict"]
    nodes = [node.op for function in signature.graph.as_graph_def().library.function for node in function.node_def]
    return {op for op in nodes if op not in ("Identity", "NoOp", "Const", "PartitionedCall", "StatefulPartitionedCall")}


def test_the_scalers_decision_is_made_in_advance(classifier, tmp_path):
    assert {"ZerosLike", "Cast", "Less"} <= ops_of(classifier)
    assert fix_shapes(classifier, {"predict": {"x": (2, 6)}}, tmp_path / "fixed") == ()
    # The choice by a constant is left to TFLite's converter.
    assert ops_of(tmp_path / "fixed") == {"AddV2", "MatMul", "Mul", "Relu", "SelectV2", "Sigmoid", "Softmax", "Sub"}


def test_names_and_answers_are_the_same(classifier, tmp_path):
    fix_shapes(classifier, {"predict": {"x": (2, 6)}, "probabilities_and_score": {"x": (1, 6)}}, tmp_path / "fixed")
    found = {signature.name: signature for signature in read_signatures(tmp_path / "fixed")}
    assert found["predict"].inputs == (TensorInfo("x", "float32", (2, 6)),)
    assert [output.name for output in found["probabilities_and_score"].outputs] == ["probabilities", "score"]
    rows = tf.constant(np.arange(12, dtype=np.float32).reshape(2, 6))
    before, after = (tf.saved_model.load(str(path)).signatures["predict"] for path in (classifier, tmp_path / "fixed"))
    np.testing.assert_allclose(after(x=rows)["probabilities"], before(x=rows)["probabilities"], atol=1e-6)


def test_every_op_that_only_looks_at_shapes_becomes_a_constant(tmp_path):
    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, "x")])
    def predict(x: Any) -> Any:
        ones = tf.ones_like(x) + tf.zeros_like(x)
        size = tf.cast(tf.size(x) + tf.rank(x) + tf.shape(x)[0], tf.float32)
        return {"y": x + ones * size}

    save(tmp_path / "model", {"predict": predict})
    assert fix_shapes(tmp_path / "model", {"predict": {"x": (2, 3)}}, tmp_path / "fixed") == ()
    assert ops_of(tmp_path / "fixed") == {"AddV2"}
    answer = tf.saved_model.load(str(tmp_path / "fixed")).signatures["predict"](x=tf.zeros([2, 3]))
    assert answer["y"].numpy().tolist() == [[10.0] * 3] * 2


def test_a_table_is_left_as_it_is(tmp_path):
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant([10.0, 20.0]))
    table = tf.lookup.StaticHashTable(initializer, default_value=-1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "x")])
    def predict(x: Any) -> Any:
        return {"y": table.lookup(x)}

    save(tmp_path / "model", {"predict": predict}, table=table)
    assert fix_shapes(tmp_path / "model", {"predict": {"x": (3,)}}, tmp_path / "fixed") == ("predict",)
    answer = tf.saved_model.load(str(tmp_path / "fixed")).signatures["predict"](x=tf.constant([2, 1, 7], tf.int64))
    assert answer["y"].numpy().tolist() == [20.0, 10.0, -1.0]
