"""The client against servers over real sockets, both protocols."""

import json
import socket

import numpy as np
import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.state import State, VersionStatus
from tests.ports import refusing
from tests.serving.fake_server import FakeServer, closing_server, http_server


def entry(*versions, name="digits", **labels):
    return ModelEntry(name, f"/models/{name}", policy=VersionPolicy("specific", versions=versions), labels=labels)


def connect(scheme, address, **options):
    return Client(rest=address, **options) if scheme == "rest" else Client(grpc=address, **options)


@pytest.fixture
def server():
    return FakeServer(entry(1, 2, stable=1))


@pytest.fixture
def client(server):
    with server.running() as address, Client(grpc=address) as client:
        yield client


def test_rows_over_grpc(client):
    rows = [{"x": 0.1, "text": "a"}, {"x": 2, "text": {"b64": "/w=="}}]
    assert client.predict("digits", instances=rows, version=1) == [
        {"text": "a", "y": 0.1},
        {"text": {"b64": "/w=="}, "y": 2.0},
    ]


def test_columns_over_grpc(client):
    answer = client.predict("digits", inputs={"x": [[1.0, 2.0]], "text": ["a"]}, label="stable")
    assert answer == {"text": ["a"], "y": [[1.0, 2.0]]}


def test_arrays_over_grpc_need_no_metadata(client, server):
    inputs = {"x": np.array([1.5], np.float32), "text": np.array([b"a"], object)}
    outputs = client.predict_arrays("digits", inputs)
    assert outputs["y"].tolist() == [3.0]
    assert outputs["y"].dtype == np.float32
    assert outputs["text"].tolist() == [b"a"]
    assert client.predict("digits", inputs=inputs) == {"text": ["a"], "y": [3.0]}
    assert server.calls == ["Predict", "Predict"]


def test_the_signature_is_asked_for_once(client, server):
    for _ in range(3):
        client.predict("digits", instances=[{"x": 1, "text": ""}])
    assert server.calls == ["GetModelMetadata", "Predict", "Predict", "Predict"]


def test_a_refused_request_with_the_signature_of_before_is_told_as_it_is(client, server):
    client.predict("digits", instances=[{"x": 1, "text": ""}])
    server.failures["Predict"] = [ServingError(Code.INVALID_ARGUMENT, "wrong shape")]
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: wrong shape"):
        client.predict("digits", instances=[{"x": 1, "text": ""}])
    assert server.calls[-2:] == ["Predict", "GetModelMetadata"]


@pytest.mark.parametrize("context", [None, {"y": 1}])
def test_examples_over_grpc(client, context):
    examples = [{"x": 0.25}, {"x": [0.5], "n": 3, "t": ["a", b"b"]}]
    assert client.classify("digits", examples, context=context) == [[["high", 0.25]], [["high", 0.5]]]
    assert client.regress("digits", examples, context=context) == [0.25, 0.5]


def test_status_over_grpc(client, server):
    server.states["digits", 2] = (State.END, Code.DATA_LOSS, "a byte has changed")
    assert client.status("digits") == [
        VersionStatus(2, State.END, Code.DATA_LOSS, "a byte has changed"),
        VersionStatus(1, State.AVAILABLE),
    ]
    assert client.status("digits", 1) == [VersionStatus(1, State.AVAILABLE)]


def test_metadata_over_grpc(client):
    found = client.metadata("digits", label="stable")
    assert found["model_spec"] == {"name": "digits", "signature_name": "", "version": "1"}
    inputs = found["metadata"]["signature_def"]["signature_def"]["serving_default"]["inputs"]
    assert {name: info["dtype"] for name, info in inputs.items()} == {"text": "DT_STRING", "x": "DT_FLOAT"}


def test_reload(client, server):
    entries = (entry(2, 3, stable=2), entry(1, name="wine"))
    client.reload(entries)
    assert server.entries == entries


def test_a_refused_reload(client, server):
    server.refuse = lambda entries: "labels cannot be assigned"
    with pytest.raises(ServingError, match="FAILED_PRECONDITION: labels cannot be assigned"):
        client.reload([entry(1)])


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda c: c.predict("wine", instances=[1]), "NOT_FOUND: Servable not found for request: Latest\\(wine\\)"),
        (
            lambda c: c.predict("digits", instances=[1], label="no"),
            "INVALID_ARGUMENT: Unrecognized servable version label: no",
        ),
        (lambda c: c.status("digits", 9), "NOT_FOUND: Could not find version 9 of model digits"),
        (
            lambda c: c.predict("digits", instances=[1], signature="s"),
            'FAILED_PRECONDITION: Serving signature name: "s" not found in signature def',
        ),
    ],
)
def test_what_the_server_refuses(client, ask, message):
    with pytest.raises(ServingError, match=message):
        ask(client)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "there are no rows"),
        ([1.0], "rows are bare values, and the signature has several inputs"),
        ([{"x": 1.0}], "row 1 does not name exactly the inputs of the signature"),
        ([{"x": 1.0, "text": "a"}, {"x": 1.0}], "row 2 does not name exactly the inputs of the signature"),
        ([{"x": [1.0], "text": "a"}, {"x": 1.0, "text": "a"}], "the values of 'x' do not fit into one batch"),
        ([{"x": "a", "text": "a"}], "the input 'x' takes float32"),
        ([{"x": True, "text": "a"}], "the input 'x' takes float32"),
        ([{"x": 1, "text": 1}], "a text input takes texts"),
        ([{"x": 1, "text": {"b64": "?"}}], "a b64 value is no base64"),
    ],
)
def test_rows_that_do_not_fit_the_signature(client, rows, message):
    with pytest.raises(ConfigError, match=message):
        client.predict("digits", instances=rows)


def test_columns_that_lack_an_input(client):
    with pytest.raises(ConfigError, match="the inputs lack text"):
        client.predict("digits", inputs={"x": [1.0]})


def test_unavailable_is_tried_again(server):
    busy = ServingError(Code.UNAVAILABLE, "busy")
    with server.running() as address, Client(grpc=address, retries=2) as client:
        server.failures["GetModelStatus"] = [busy, busy]
        assert client.status("digits", 1) == [VersionStatus(1, State.AVAILABLE)]
        server.failures["GetModelStatus"] = [busy, busy, busy]
        with pytest.raises(ServingError, match="UNAVAILABLE: busy"):
            client.status("digits")
        assert len(server.calls) == 6


def test_nothing_else_is_tried_again(client, server):
    server.failures["GetModelStatus"] = [ServingError(Code.ABORTED, "no")]
    with pytest.raises(ServingError, match="ABORTED: no"):
        client.status("digits")
    assert server.calls == ["GetModelStatus"]


@pytest.mark.parametrize("scheme", ["rest", "grpc"])
def test_no_server(scheme):
    with refusing() as port:
        address = f"http://127.0.0.1:{port}" if scheme == "rest" else f"127.0.0.1:{port}"
        with (
            connect(scheme, address, retries=1) as client,
            pytest.raises(EnvironmentProblem, match=f"no server can be reached at {address}"),
        ):
            client.status("digits")


def test_a_grpc_server_that_dies_in_the_middle():
    with (
        closing_server() as address,
        Client(grpc=address, retries=0, timeout=120) as client,
        pytest.raises(EnvironmentProblem, match="ended the connection before it had answered"),
    ):
        client.status("digits")


def test_a_rest_server_that_dies_in_the_middle():
    with http_server((0, ""), (0, "")) as (url, asked), Client(rest=url, retries=1) as client:
        with pytest.raises(EnvironmentProblem, match="ended the connection before it had answered"):
            client.predict("digits", instances=[1])
        assert len(asked) == 2


@pytest.mark.parametrize("scheme", ["rest", "grpc"])
def test_a_server_that_does_not_answer(scheme):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            connect(scheme, address, timeout=0.2) as client,
            pytest.raises(EnvironmentProblem, match=f"{address} has not answered within 0.2 s"),
        ):
            client.status("digits")


def test_wait_available(client, server):
    server.states["digits", 2] = (State.LOADING, Code.OK, "")

    def load(_seconds: float) -> None:
        del server.states["digits", 2]

    client.wait_available("digits", 2, 10, sleep=load)
    assert server.calls == ["GetModelStatus", "GetModelStatus"]


def test_wait_for_a_version_that_fails_to_load(client, server):
    server.states["digits", 2] = (State.END, Code.DATA_LOSS, "a byte has changed")
    with pytest.raises(ServingError, match="DATA_LOSS: a byte has changed"):
        client.wait_available("digits", 2, 10)


def test_wait_for_a_version_that_the_server_never_sees(client):
    with pytest.raises(EnvironmentProblem, match="version 9 of digits is not AVAILABLE after 0 s") as raised:
        client.wait_available("digits", 9, 0)
    assert raised.value.received == "Could not find version 9 of model digits"


def test_rows_over_rest():
    with http_server((200, '{"predictions": [1.5, NaN]}')) as (url, asked), Client(rest=url) as client:
        answer = client.predict("a b/c", instances=[np.float32(1), b"\xff"], label="x y", signature="s")
    assert answer[0] == 1.5
    assert answer[1] != answer[1]
    body = {"signature_name": "s", "instances": [1.0, {"b64": "/w=="}]}
    assert asked == [("POST", "/v1/models/a%20b%2Fc/labels/x%20y:predict", body)]


def test_columns_over_rest():
    with http_server((200, '{"outputs": {"y": [2]}}')) as (url, asked), Client(rest=url) as client:
        assert client.predict("digits", inputs={"x": np.array([1])}, version=3) == {"y": [2]}
    assert asked == [("POST", "/v1/models/digits/versions/3:predict", {"inputs": {"x": [1]}})]


def test_examples_over_rest():
    answers = (200, '{"results": [[["a", 0.5]]]}'), (200, '{"results": [0.5]}')
    with http_server(*answers) as (url, asked), Client(rest=url) as client:
        assert client.classify("m", [{"x": 1}], context={"c": 2}) == [[["a", 0.5]]]
        assert client.regress("m", [{"x": 1}]) == [0.5]
    assert asked[0][2] == {"examples": [{"x": 1}], "context": {"c": 2}}
    assert asked[1][1] == "/v1/models/m:regress"


def test_status_over_rest():
    one = {"version": "3", "state": "END", "status": {"error_code": "DATA_LOSS", "error_message": "flipped"}}
    two = {"version": "4", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    with (
        http_server((200, json.dumps({"model_version_status": [one, two]}))) as (url, asked),
        Client(rest=url) as client,
    ):
        assert client.status("m") == [
            VersionStatus(4, State.AVAILABLE),
            VersionStatus(3, State.END, Code.DATA_LOSS, "flipped"),
        ]
    assert asked == [("GET", "/v1/models/m", None)]


@pytest.mark.parametrize(
    ("status", "code"), [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (500, "INTERNAL"), (418, "UNKNOWN")]
)
def test_what_a_rest_server_refuses(status, code):
    with (
        http_server((status, '{"error": "because"}')) as (url, _),
        Client(rest=url) as client,
        pytest.raises(ServingError, match=f"{code}: because"),
    ):
        client.metadata("m")


def test_a_busy_rest_server_is_asked_again():
    with (
        http_server((503, '{"error": "busy"}'), (200, '{"predictions": [1]}')) as (url, asked),
        Client(rest=url) as client,
    ):
        assert client.predict("m", instances=[1]) == [1]
    assert len(asked) == 2


@pytest.mark.parametrize("answer", [(404, "<html>"), (404, "[]"), (200, "<html>")])
def test_a_web_server_that_is_no_model_server(answer):
    with (
        http_server(answer) as (url, _),
        Client(rest=url) as client,
        pytest.raises(EnvironmentProblem, match="does not answer as a model server"),
    ):
        client.status("m")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Client, "a client needs one address"),
        (lambda: Client(rest="http://h", grpc="h:1"), "a client needs one address"),
        (lambda: Client(grpc="http://h:1"), "'http://h:1' is no gRPC address"),
        (lambda: Client(grpc="h:99999"), "'h:99999' is no gRPC address"),
        (lambda: Client(rest="ftp://h"), "'ftp://h' is no REST address"),
        (lambda: Client(rest="http://h:x"), "'http://h:x' is no REST address"),
        (lambda: Client(rest="h:1").predict("m"), "either rows"),
        (lambda: Client(rest="h:1").predict("m", instances=[1], version=1, label="a"), "not both"),
        (lambda: Client(rest="h:1").reload([]), "can only be replaced over gRPC"),
        (lambda: Client(rest="h:1").predict_arrays("m", {}), "over gRPC only"),
        (lambda: Client(rest="h:1").predict("m", instances=[object()]), "a row holds what JSON cannot"),
        (lambda: Client(grpc="h:1").regress("m", [{"x": [1, 0.5]}]), "that no feature can hold together"),
    ],
)
def test_wrong_use(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
