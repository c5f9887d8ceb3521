"""Whatever a client sends over gRPC: an answer, or its own mistake told by a status of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tensorflow.core.example import example_pb2
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    input_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from penstock.serving.models.manager import ManagerOptions
from penstock.serving.server import Ports, Server, ServerOptions
from tests.serving.conformance.models import DTYPES

_INT64 = st.integers(-(2**63), 2**63 - 1)
_SIGNATURES = ["two", "scalar", "matrix", "mixed", "words", "word", "number", "divide", "regress", "classify", "none"]
_NAMES = st.sampled_from(["x", "a", "b", "s", "inputs", ""])
_SIZE = st.integers(0, 4) | st.sampled_from([-1, 1 << 20, 1 << 40, (1 << 63) - 1, -(1 << 63)])
_FLOATS = st.lists(st.floats(width=32), max_size=5)

_spec = st.builds(
    lambda name, signature, choice: model_pb2.ModelSpec(name=name, signature_name=signature, **choice),
    st.sampled_from(["zoo", "zoo", "zoo", "half", "nobody", ""]) | st.text(max_size=3),
    st.sampled_from(["", *_SIGNATURES, *(f"echo_{dtype}" for dtype in DTYPES)]) | st.text(max_size=3),
    st.just({})
    | st.builds(lambda value: {"version": {"value": value}}, st.sampled_from([1, 2, 3]) | _INT64)
    | st.builds(lambda label: {"version_label": label}, st.sampled_from(["stable", "gone", ""]) | st.text(max_size=3)),
)
_tensor = st.builds(
    lambda dtype, sizes, unknown, fields: tensor_pb2.TensorProto(
        dtype=dtype, tensor_shape={"dim": [{"size": size} for size in sizes], "unknown_rank": unknown}, **fields
    ),
    st.integers(0, 26) | st.sampled_from([1, 1, 3, 7, 101, 4711]),
    st.lists(_SIZE, max_size=3) | st.just([2]) | st.just([1] * 70),
    st.booleans(),
    st.fixed_dictionaries(
        {},
        optional={
            "tensor_content": st.binary(max_size=16),
            "float_val": _FLOATS,
            "double_val": st.lists(st.floats(), max_size=5),
            "int_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
            "string_val": st.lists(st.binary(max_size=5), max_size=5),
            "scomplex_val": _FLOATS,
            "dcomplex_val": st.lists(st.floats(), max_size=5),
            "int64_val": st.lists(_INT64, max_size=5),
            "bool_val": st.lists(st.booleans(), max_size=5),
            "half_val": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
            "uint32_val": st.lists(st.integers(0, 2**32 - 1), max_size=5),
            "uint64_val": st.lists(st.integers(0, 2**64 - 1), max_size=5),
        },
    ),
)


def _echoed(dtype: str, shape: list[int], value: int) -> predict_pb2.PredictRequest:
    """Return a request that a signature of the zoo can answer."""
    import tensorflow as tf

    kind = tf.as_dtype(dtype)
    proto = tensor_pb2.TensorProto(
        dtype=kind.as_datatype_enum, tensor_shape={"dim": [{"size": size} for size in shape]}
    )
    if dtype == "string":
        proto.string_val.append(str(value).encode())
    else:
        proto.tensor_content = np.full(shape, value).astype(kind.as_numpy_dtype).tobytes()
    return predict_pb2.PredictRequest(
        model_spec={"name": "zoo", "signature_name": f"echo_{dtype}"}, inputs={"x": proto}
    )


_fitting = st.builds(_echoed, st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=6), st.integers(-100, 100))
_feature = st.one_of(
    st.builds(lambda values: {"float_list": {"value": values}}, _FLOATS),
    st.builds(lambda values: {"int64_list": {"value": values}}, st.lists(_INT64, max_size=3)),
    st.builds(lambda values: {"bytes_list": {"value": values}}, st.lists(st.binary(max_size=3), max_size=3)),
    st.just({}),
)
_example = st.builds(
    lambda features: example_pb2.Example(features={"feature": features}),
    st.dictionaries(st.sampled_from(["x", "plus", "y"]), _feature, max_size=3),
)
_examples = st.lists(_example, max_size=3)
_input = st.one_of(
    st.builds(lambda found: input_pb2.Input(example_list={"examples": found}), _examples),
    st.builds(
        lambda found, context: input_pb2.Input(example_list_with_context={"examples": found, "context": context}),
        _examples,
        _example,
    ),
    st.just(input_pb2.Input()),
)
_task = st.builds(
    lambda spec, method: inference_pb2.InferenceTask(model_spec=spec, method_name=method),
    _spec,
    st.sampled_from(["tensorflow/serving/classify", "tensorflow/serving/regress", "tensorflow/serving/predict", ""]),
)
_some_spec = st.none() | _spec
_filter = st.lists(st.sampled_from(["y", "sum", "difference", "s", ""]), max_size=3)
_model = st.builds(
    lambda name, path, platform, versions, labels: model_server_config_pb2.ModelConfig(
        name=name,
        base_path=path,
        model_platform=platform,
        model_version_policy={"specific": {"versions": versions}} if versions else None,
        version_labels=labels,
    ),
    st.sampled_from(["m", "m", "n", ""]) | st.text(max_size=3),
    st.sampled_from(["/none", "none", "", "/none/\x00", "s3://none"]),
    st.sampled_from(["tensorflow", "tensorflow", "", "torch"]),
    st.lists(_INT64, max_size=2),
    st.dictionaries(st.text(max_size=3), _INT64, max_size=2),
)
_config = st.builds(
    lambda models: model_server_config_pb2.ModelServerConfig(model_config_list={"config": models}),
    st.lists(_model, max_size=3),
) | st.sampled_from(
    [
        model_server_config_pb2.ModelServerConfig(),
        model_server_config_pb2.ModelServerConfig(custom_model_config={"type_url": "x", "value": b"\xff"}),
    ]
)
_REQUESTS = {
    "Predict": st.builds(
        lambda spec, inputs, chosen: predict_pb2.PredictRequest(model_spec=spec, inputs=inputs, output_filter=chosen),
        _some_spec,
        st.dictionaries(_NAMES, _tensor, max_size=3),
        st.just([]) | _filter,
    )
    | _fitting,
    "Classify": st.builds(
        lambda spec, sent: classification_pb2.ClassificationRequest(model_spec=spec, input=sent), _some_spec, _input
    ),
    "Regress": st.builds(
        lambda spec, sent: regression_pb2.RegressionRequest(model_spec=spec, input=sent), _some_spec, _input
    ),
    "MultiInference": st.builds(
        lambda tasks, sent: inference_pb2.MultiInferenceRequest(tasks=tasks, input=sent),
        st.lists(_task, max_size=3),
        _input,
    ),
    "GetModelMetadata": st.builds(
        lambda spec, fields: get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=fields),
        _some_spec,
        st.lists(st.sampled_from(["signature_def", ""]) | st.text(max_size=3), max_size=2),
    ),
    "GetModelStatus": st.builds(lambda spec: get_model_status_pb2.GetModelStatusRequest(model_spec=spec), _some_spec),
}
_OK, _UNKNOWN = grpc.StatusCode.OK, grpc.StatusCode.UNKNOWN
_MISTAKES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNIMPLEMENTED,
}
_many = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])


class Stub:
    """All methods of both services."""

    def __init__(self, port: int | None) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self._stubs = (
            prediction_service_pb2_grpc.PredictionServiceStub(self.channel),
            model_service_pb2_grpc.ModelServiceStub(self.channel),
        )

    def status(self, method: str, request: Any) -> tuple[grpc.StatusCode, str]:
        call = next(getattr(stub, method) for stub in self._stubs if hasattr(stub, method))
        try:
            call(request, timeout=120)
        except grpc.RpcError as error:
            status: Any = error
            return status.code(), status.details()
        return _OK, ""

    def answers(self) -> bool:
        request = predict_pb2.PredictRequest(model_spec={"name": "zoo"})
        request.inputs["x"].CopyFrom(
            tensor_pb2.TensorProto(dtype=1, tensor_shape={"dim": [{"size": 1}]}, float_val=[1])
        )
        return self.status("Predict", request) == (_OK, "")


@pytest.fixture(scope="module")
def stub(ports: Ports) -> Iterator[Stub]:
    found = Stub(ports.grpc)
    yield found
    found.channel.close()


@pytest.mark.parametrize("method", _REQUESTS)
def test_requests(stub: Stub, method: str) -> None:
    @_many
    @given(_REQUESTS[method])
    def ask(request: Any) -> None:
        code, details = stub.status(method, request)
        assert code in {_OK, *_MISTAKES}, (code, details)
        assert code == _OK or details

    ask()
    assert stub.answers()


def test_configs() -> None:
    options = ManagerOptions(poll_seconds=0.0, wait_seconds=0.0, load_retries=0)
    server = Server(ServerOptions(grpc_port=0, rest_port=None), (), options)
    stub = Stub(server.start().grpc)

    @_many
    @given(_config)
    def reload(config: Any) -> None:
        code, details = stub.status(
            "HandleReloadConfigRequest", model_management_pb2.ReloadConfigRequest(config=config, metric_names=["x"])
        )
        # TensorFlow Serving's own code for models that do not become available.
        waited = code == _UNKNOWN and "did not become available" in details
        assert waited or code in {_OK, *_MISTAKES}, (code, details)

    try:
        reload()
    finally:
        stub.channel.close()
        server.stop()


@pytest.mark.parametrize("method", _REQUESTS)
def test_bytes(stub: Stub, method: str) -> None:
    service = "ModelService" if method == "GetModelStatus" else "PredictionService"
    call = stub.channel.unary_unary(f"/tensorflow.serving.{service}/{method}")

    @_many
    @given(st.binary(max_size=40))
    def ask(sent: bytes) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            call(sent, timeout=120)
        status: Any = caught.value
        assert status.code() in _MISTAKES, status

    ask()
    with pytest.raises(grpc.RpcError) as caught:
        call(b"\xff", timeout=120)
    status: Any = caught.value
    assert status.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert re.fullmatch(r"Failed to parse tensorflow\.serving\.\w+Request", status.details())
    assert stub.answers()
