"""The definitions and arrays of the client are the official ones."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, text_format
from tensorflow_serving.apis import classification_pb2, get_model_status_pb2, model_management_pb2, predict_pb2

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving import protos
from penstock.serving._tensors import from_proto, to_example, to_proto
from penstock.serving.model_config import format_monitoring
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


def test_the_monitoring_config_is_transcribed_right():
    """Against what OpenVINO's client compiled from TF Serving's file, under a package name of its own."""
    client = find_spec("ovmsclient")
    assert client is not None
    folder = Path(str(client.origin)).parent / "tfs_compat/protos/tensorflow_serving/config"
    compiled = folder / "monitoring_config_pb2.py"
    file = descriptor_pb2.FileDescriptorProto.FromString(protos._definition(compiled))
    assert file.syntax == "proto3"
    assert [described.name for described in file.message_type] == ["PrometheusConfig", "MonitoringConfig"]
    for described in file.message_type:
        ours = descriptor_pb2.DescriptorProto()
        protos.transcribed(f"tensorflow.serving.{described.name}").DESCRIPTOR.CopyToProto(ours)
        theirs = text_format.MessageToString(described).replace(file.package, "tensorflow.serving")
        assert _without_json_names(ours) == _without_json_names(text_format.Parse(theirs, type(described)()))


def _without_json_names(message_type):
    for field in message_type.field:
        field.ClearField("json_name")
    return message_type


def test_what_we_write_is_read_by_what_is_transcribed():
    monitoring = text_format.Parse(format_monitoring("/m"), protos.transcribed("tensorflow.serving.MonitoringConfig")())
    assert (monitoring.prometheus_config.enable, monitoring.prometheus_config.path) == (True, "/m")


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
    with pytest.raises(ValueError, match="the output 'y' has DataType 21"):
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
