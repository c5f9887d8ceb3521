"""The definitions and arrays of the client are the official ones."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving._tensors import from_proto, to_example, to_proto
from penstock.serving.protos import message


@pytest.mark.parametrize(
    "official",
    [
        predict_pb2.PredictRequest,
        predict_pb2.PredictResponse,
        classification_pb2.ClassificationRequest,
        get_model_status_pb2.GetModelStatusResponse,
        model_management_pb2.ReloadConfigRequest,
        tf.train.Example,
    ],
)
def test_the_definitions_are_those_of_the_stubs(official):
    ours = message(official.DESCRIPTOR.full_name).DESCRIPTOR
    assert ours.file.serialized_pb == official.DESCRIPTOR.file.serialized_pb


def test_a_definition_that_is_not_installed():
    with pytest.raises(EnvironmentProblem, match=r"the definitions of no_such/x\.proto are not installed"):
        message("no.Such", "no_such/x.proto")


ARRAYS = [np.array([[1.5, -0.0], [np.nan, np.inf]], dtype) for dtype in (np.float16, np.float32, np.float64)] + [
    np.array([[0, 1], [2, 3]], dtype) for dtype in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")
]


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.name)
def test_arrays_are_tensorflows(array):
    official = tf.make_tensor_proto(array)
    ours = tf.make_ndarray(_official(to_proto(array)))
    np.testing.assert_array_equal(ours, array)
    assert ours.dtype == array.dtype
    np.testing.assert_array_equal(from_proto(_ours(official), "y"), array)


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: array.dtype.name)
def test_typed_fields_are_read_too_and_their_last_value_stands_for_the_rest(array):
    official = tf.make_tensor_proto(array.ravel()[1].item(), dtype=array.dtype, shape=(2, 2))
    assert not official.tensor_content
    np.testing.assert_array_equal(from_proto(_ours(official), "y"), tf.make_ndarray(official))


def test_texts():
    array = np.array([[b"a", b"\xff"]], object)
    np.testing.assert_array_equal(tf.make_ndarray(_official(to_proto(array))), array)
    np.testing.assert_array_equal(from_proto(_ours(tf.make_tensor_proto(array)), "y"), array)
    assert to_proto(np.array(["ä"])).string_val == ["ä".encode()]


def test_an_empty_tensor():
    assert from_proto(to_proto(np.zeros((0, 3), np.float32)), "y").shape == (0, 3)


def test_types_that_no_request_carries():
    with pytest.raises(ConfigError, match="an array has a type that no request can carry"):
        to_proto(np.array([1j]))
    with pytest.raises(ConfigError, match="the output 'y' has a type that this client does not know"):
        from_proto(message("tensorflow.TensorProto")(dtype=21), "y")


def test_examples():
    ours = to_example({"a": 1, "b": [0.5, np.float32(2)], "c": ["x", b"y"], "d": True, "e": [], "f": np.array([1, 2])})
    official = tf.train.Example.FromString(ours.SerializeToString()).features.feature
    assert list(official["a"].int64_list.value) == [1]
    assert list(official["b"].float_list.value) == [0.5, 2.0]
    assert list(official["c"].bytes_list.value) == [b"x", b"y"]
    assert list(official["d"].int64_list.value) == [1]
    assert official["e"].WhichOneof("kind") is None
    assert list(official["f"].int64_list.value) == [1, 2]


def _official(proto):
    return type(tf.make_tensor_proto(0)).FromString(proto.SerializeToString())


def _ours(proto):
    return message("tensorflow.TensorProto").FromString(proto.SerializeToString())
