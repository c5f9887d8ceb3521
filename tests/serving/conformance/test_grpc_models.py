"""Metadata, ModelService and the health check through the official stubs; ``test_grpc_reload`` has its reloads."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from penstock.serving.server import Ports
from tests.serving.conformance.grpc_vectors import INVALID, NOT_FOUND, Vector, check, spec, table

FIELD = 'metadata_field: "signature_def"'
METADATA = [
    Vector("no model_spec", FIELD, code=INVALID, message="Missing ModelSpec"),
    Vector("no name", spec("") + FIELD, code=INVALID, message="ModelSpec has no name specified."),
    Vector(
        "no field",
        spec(),
        code=INVALID,
        message="GetModelMetadataRequest must specify at least one metadata_field",
    ),
    Vector(
        "an unknown field",
        spec() + 'metadata_field: "size"',
        code=INVALID,
        message="Metadata field size is not supported",
    ),
    Vector(
        "an unknown field after a known one",
        spec() + FIELD + 'metadata_field: "size"',
        code=INVALID,
        message="Metadata field size is not supported",
    ),
    Vector(
        "fields are looked at before the model",
        spec("nobody") + 'metadata_field: "size"',
        code=INVALID,
        message="Metadata field size is not supported",
    ),
    Vector(
        "unknown model",
        spec("nobody") + FIELD,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(nobody)",
    ),
    Vector(
        "unknown version",
        spec(version=1) + FIELD,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 1)",
    ),
    Vector(
        "unknown label",
        spec(label="beta") + FIELD,
        code=INVALID,
        message="Unrecognized servable version label: beta",
    ),
]


def state(version: int, name: str = "AVAILABLE") -> str:
    return f"model_version_status {{ version: {version} state: {name} status {{}} }}"


STATUS = [
    Vector("all versions, newest first", spec(), state(3) + state(2)),
    Vector("one version", spec(version=2), state(2)),
    Vector("a label is ignored", spec(label="stable"), state(3) + state(2)),
    Vector("even an unknown one", spec(label="beta"), state(3) + state(2)),
    Vector("a signature is ignored", spec(signature="none"), state(3) + state(2)),
    Vector("another model", spec("half"), state(1)),
    Vector("no model_spec", "", code=INVALID, message="Missing ModelSpec"),
    Vector("unknown model", spec("nobody"), code=NOT_FOUND, message="Could not find any versions of model nobody"),
    Vector("no name", spec(""), code=NOT_FOUND, message="Could not find any versions of model "),
    Vector("unknown version", spec(version=9), code=NOT_FOUND, message="Could not find version 9 of model zoo"),
    Vector(
        "a version of an unknown model",
        spec("nobody", version=1),
        code=NOT_FOUND,
        message="Could not find version 1 of model nobody",
    ),
]


def config(*models: str) -> str:
    return f"config {{ model_config_list {{ {' '.join(f'config {{ {model} }}' for model in models)} }} }}"


MODEL = 'name: "m" base_path: "/models/m" model_platform: "tensorflow"'
NO_LIST = (
    "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported"
)
REFUSED = [
    Vector("no config", "", code=INVALID, message=NO_LIST),
    Vector("an empty config", "config {}", code=INVALID, message=NO_LIST),
    Vector("a custom config", "config { custom_model_config {} }", code=INVALID, message=NO_LIST),
    Vector(
        "a model twice",
        config(MODEL, MODEL),
        code=INVALID,
        message="Illegal to list model m multiple times in config list",
    ),
    Vector(
        "a relative path",
        config('name: "m" base_path: "models/m" model_platform: "tensorflow"'),
        code=INVALID,
        message="Expected model m to have an absolute path or URI; got base_path()=models/m",
    ),
    Vector(
        "no path",
        config('name: "m" model_platform: "tensorflow"'),
        code=INVALID,
        message="Expected model m to have an absolute path or URI; got base_path()=",
    ),
    Vector(
        "another platform",
        config('name: "zoo" base_path: "/models/zoo" model_platform: "torch"'),
        code=INVALID,
        message="Illegal to change a model's platform. For model zoo platform was tensorflow and new platform "
        "requested is torch",
    ),
]


@pytest.fixture(scope="module")
def channel(ports: Ports) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as opened:
        yield opened


@pytest.fixture(scope="module")
def prediction(channel):
    return prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def models(channel):
    return model_service_pb2_grpc.ModelServiceStub(channel)


@table(METADATA)
def test_metadata_that_is_refused(vector, prediction):
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    check(vector, prediction.GetModelMetadata, request, get_model_metadata_pb2.GetModelMetadataResponse())


@pytest.mark.parametrize(("chosen", "version"), [(spec(), 3), (spec(version=2), 2), (spec(label="stable"), 2)])
def test_metadata_has_the_signatures(chosen, version, prediction):
    request = text_format.Parse(chosen + FIELD, get_model_metadata_pb2.GetModelMetadataRequest())
    answer = prediction.GetModelMetadata(request, timeout=120)
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("zoo", version)
    assert answer.model_spec.signature_name == ""
    found = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(found)
    assert answer.metadata["signature_def"].type_url == "type.googleapis.com/tensorflow.serving.SignatureDefMap"
    two = found.signature_def["two"]
    assert sorted(two.inputs) == ["a", "b"]
    assert sorted(two.outputs) == ["difference", "sum"]
    assert two.method_name == "tensorflow/serving/predict"


@table(STATUS)
def test_status(vector, models):
    request, reply = get_model_status_pb2.GetModelStatusRequest(), get_model_status_pb2.GetModelStatusResponse()
    check(vector, models.GetModelStatus, request, reply)


@table(REFUSED)
def test_a_reload_that_is_refused(vector, models):
    request, reply = model_management_pb2.ReloadConfigRequest(), model_management_pb2.ReloadConfigResponse()
    check(vector, models.HandleReloadConfigRequest, request, reply)
    # The old config is still there.
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "zoo"
    assert [s.version for s in models.GetModelStatus(asked, timeout=120).model_version_status] == [3, 2]


def test_the_health_check_of_grpc(channel):
    assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=120) == b"\x08\x01"


def test_a_method_that_is_not_there(channel):
    with pytest.raises(grpc.RpcError, match="UNIMPLEMENTED"):
        channel.unary_unary("/tensorflow.serving.PredictionService/Guess")(b"", timeout=120)
