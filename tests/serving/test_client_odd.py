"""The client against servers that answer oddly: each odd answer is one clear error, and a call ends in its time."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving import _grpc_client
from penstock.serving._tensors import from_proto, to_proto
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry
from penstock.serving.models.state import State
from penstock.serving.protos import message
from tests.serving.fake_server import FakeServer, http_server

ASKED = {
    "predict rows": (lambda c: c.predict("m", instances=[1]), "predictions"),
    "predict columns": (lambda c: c.predict("m", inputs=[1]), "outputs"),
    "classify": (lambda c: c.classify("m", [{"x": 1}]), "results"),
    "regress": (lambda c: c.regress("m", [{"x": 1}]), "results"),
    "status": (lambda c: c.status("m"), "the states of versions"),
    "metadata": (lambda c: c.metadata("m"), "signatures"),
}


def status(**changes: Any) -> dict[str, Any]:
    one = {"version": "3", "state": "END", "status": {"error_code": "OK", "error_message": ""}, **changes}
    return {"model_version_status": [one]}


@pytest.mark.parametrize("answer", [{}, [], None, 1, "predictions", {"error": "?"}, [["predictions"]]])
@pytest.mark.parametrize("what", ASKED)
def test_other_json_than_expected_over_rest(what: str, answer: Any) -> None:
    ask, expected = ASKED[what]
    with http_server((200, json.dumps(answer))) as (url, _), Client(rest=url) as client:
        with pytest.raises(EnvironmentProblem) as caught:
            ask(client)
        text = answer if isinstance(answer, str) else json.dumps(answer)
        assert str(caught.value) == (
            f"{url} does not answer as a model server\n"
            f"  received: HTTP 200: {text!r}\n"
            f"  expected: {expected}\n"
            "  next: is this the port of a model server, and the one of this protocol? REST and gRPC have one each"
        )


@pytest.mark.parametrize(
    "answer",
    [
        status(version="three"),
        status(version=None),
        status(state="ASLEEP"),
        status(state=None),
        status(status={}),
        status(status={"error_code": "ODD", "error_message": ""}),
        {"model_version_status": ["x"]},
        {"model_version_status": "x"},
        {"model_version_status": None},
    ],
)
def test_states_that_are_none_over_rest(answer: Any) -> None:
    with http_server((200, json.dumps(answer))) as (url, _), Client(rest=url) as client:
        with pytest.raises(EnvironmentProblem, match="does not answer as a model server") as caught:
            client.status("m")
        assert caught.value.expected == "the states of versions"


@pytest.mark.parametrize("signatures", [None, [], "x", {"predict": None}, {"predict": []}])
def test_signatures_that_are_none_over_rest(signatures: Any) -> None:
    answer = {"model_spec": {}, "metadata": {"signature_def": {"signature_def": signatures}}}
    with http_server((200, json.dumps(answer))) as (url, _), Client(rest=url) as client:
        with pytest.raises(EnvironmentProblem, match="does not answer as a model server") as caught:
            client.metadata("m")
        assert caught.value.expected == "signatures"


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"predictions": [1]', "\x00"])
def test_an_answer_that_is_no_json(text: str) -> None:
    with http_server((200, text)) as (url, _), Client(rest=url) as client:
        with pytest.raises(EnvironmentProblem, match="does not answer as a model server") as caught:
            client.predict("m", instances=[1])
        assert caught.value.expected == "JSON"


def test_a_server_that_speaks_no_http() -> None:
    def answer(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"220 ready for anything\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, args=(listener,))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with Client(rest=url, retries=0) as client:
            with pytest.raises(EnvironmentProblem, match=f"{url} does not answer as a model server") as caught:
                client.status("m")
            assert caught.value.expected == "HTTP"
        thread.join()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("errors resolving a.b:80: [field:hostname lookup error]", "no server can be reached at 127.0.0.1:1"),
        (
            "failed to connect to all addresses; last error: Failed parsing HTTP/2 (Expected SETTINGS frame)",
            "127.0.0.1:1 does not answer as a model server",
        ),
        ("Stream removed (Socket closed)", "the server at 127.0.0.1:1 ended the connection before it had answered"),
        ("Shutting down", "UNAVAILABLE: Shutting down"),
    ],
)
def test_why_a_grpc_server_is_unavailable(text: str, told: str) -> None:
    error = SimpleNamespace(code=lambda: grpc.StatusCode.UNAVAILABLE, details=lambda: text)
    transport = _grpc_client.GrpcTransport("127.0.0.1:1", 1, 0)
    assert str(transport._told(error, late=False)).split("\n")[0] == told
    transport.close()


def test_rows_that_json_cannot_hold() -> None:
    deep: list[Any] = []
    for _ in range(10_000):
        deep = [deep]
    with (
        Client(rest="http://127.0.0.1:1") as client,
        pytest.raises(ConfigError, match="the rows are lists within lists, too many of them"),
    ):
        client.predict("m", instances=deep)


@contextmanager
def dripping(*, headers: bool) -> Iterator[str]:
    """Give the URL of a server that answers a few bytes at a time, and never ends: headers, or a body."""
    stopped = threading.Event()

    def serve(listener: socket.socket) -> None:
        # The client may give up at any moment, even before it has connected.
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"" if headers else b"Content-Length: 1000000\r\n\r\n"))
                while not stopped.wait(0.005):
                    connection.sendall(b"X: y\r\n" if headers else b" ")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("headers", [True, False])
def test_the_timeout_is_one_of_the_whole_call_over_rest(headers: bool) -> None:  # noqa: FBT001  A parameter of pytest.
    with (
        dripping(headers=headers) as url,
        Client(rest=url, timeout=0.1, retries=0) as client,
        pytest.raises(EnvironmentProblem, match=f"the server at {url} has not answered within 0.1 s"),
    ):
        client.predict("m", instances=[1])


def test_the_timeout_is_one_of_all_calls_over_grpc(monkeypatch: pytest.MonkeyPatch) -> None:
    server, now, timeouts = FakeServer(ModelEntry("m", "/m")), [100.0], []
    monkeypatch.setattr("penstock.serving._grpc_client.time.monotonic", lambda: now[0])

    def slowly(call: Any) -> Any:
        def answer(request: Any, timeout: float) -> Any:
            timeouts.append(timeout)
            now[0] += 3
            return call(request, timeout=120)

        return answer

    with server.running() as address, Client(grpc=address, timeout=10) as client:
        client.predict("m", instances=[{"x": 1, "text": ""}])
        calls = client._transport._calls  # type: ignore[attr-defined]  # Of the gRPC half.
        client._transport._types.clear()  # type: ignore[attr-defined]
        calls.update({method: slowly(call) for method, call in calls.items()})
        client.predict("m", instances=[{"x": 1, "text": ""}])
        assert timeouts == [10, 7]
        server.failures["Predict"] = [ServingError(Code.INVALID_ARGUMENT, "wrong shape")]
        with pytest.raises(ServingError, match="wrong shape"):
            client.predict("m", instances=[{"x": 1, "text": ""}])
    assert timeouts == [10, 7, 10, 7]


class Odd(FakeServer):
    """Answers with what it is given."""

    def __init__(self, **answers: Any) -> None:
        super().__init__(ModelEntry("m", "/m"))
        for method, answer in answers.items():
            setattr(self, f"_{method}", lambda request, found=answer: found)


def ask_odd(ask: Any, **answers: Any) -> EnvironmentProblem:
    with Odd(**answers).running() as address, Client(grpc=address) as client:
        with pytest.raises(EnvironmentProblem, match=f"{address} does not answer as a model server") as caught:
            ask(client)
        return caught.value


@pytest.mark.parametrize(
    ("field", "received"), [("state", "7 is not a valid State"), ("code", "99 is not a valid Code")]
)
def test_states_that_are_none_over_grpc(field: str, received: str) -> None:
    answer = message("tensorflow.serving.GetModelStatusResponse")()
    one = answer.model_version_status.add(version=1, state=7 if field == "state" else State.AVAILABLE)
    one.status.error_code = 99 if field == "code" else 0
    error = ask_odd(lambda client: client.status("m"), getmodelstatus=answer)
    assert (error.received, error.expected) == (received, "a state and a code of the protocol")


def test_signatures_that_are_none_over_grpc() -> None:
    answer = message("tensorflow.serving.GetModelMetadataResponse")()
    answer.metadata["signature_def"].value = b"\xff"
    error = ask_odd(lambda client: client.metadata("m"), getmodelmetadata=answer)
    assert error.expected == "a SignatureDefMap"


def test_a_refused_reload_with_a_code_that_is_none() -> None:
    answer = message("tensorflow.serving.ReloadConfigResponse")()
    answer.status.error_code, answer.status.error_message = 99, "because"
    with (
        Odd(handlereloadconfigrequest=answer).running() as address,
        Client(grpc=address) as client,
        pytest.raises(ServingError, match="UNKNOWN: because"),
    ):
        client.reload([])


def odd_tensor(dtype: int = 1, shape: tuple[int, ...] = (2,), **fields: Any) -> Any:
    proto = message("tensorflow.TensorProto")(dtype=dtype, **fields)
    for size in shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("tensor", "received"),
    [
        (odd_tensor(21), "the output 'y' has DataType 21"),
        (odd_tensor(shape=(1 << 40,)), "the output 'y' has the shape [1099511627776] and 0 values"),
        (
            odd_tensor(shape=(1 << 40, 1 << 40)),
            "the output 'y' has the shape [1099511627776, 1099511627776] and 0 values",
        ),
        (odd_tensor(float_val=[1, 2, 3]), "cannot reshape array of size 3 into shape (2,)"),
        (odd_tensor(tensor_content=b"12345678901"), "buffer size must be a multiple of element size"),
        (odd_tensor(tensor_content=b"1234"), "cannot reshape array of size 1 into shape (2,)"),
    ],
)
def test_tensors_that_are_none(tensor: Any, received: str) -> None:
    answer = message("tensorflow.serving.PredictResponse")()
    answer.outputs["y"].CopyFrom(tensor)
    inputs = {"x": np.zeros(1, np.float32)}
    error = ask_odd(lambda client: client.predict_arrays("m", inputs), predict=answer)
    assert (error.received, error.expected) == (received, "tensors of types that this client knows")


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        ({"y": np.float32(1).reshape(())}, "Tensor name: y has no shape information "),
        (
            {"a": np.zeros(2, np.float32), "b": np.zeros(3, np.float32)},
            "Tensor name: b has inconsistent batch size: 3 expecting: 2",
        ),
    ],
)
def test_rows_are_asked_for_and_the_outputs_have_none(outputs: dict[str, Any], told: str) -> None:
    answer = message("tensorflow.serving.PredictResponse")()
    for name, array in outputs.items():
        answer.outputs[name].CopyFrom(to_proto(array))
    rows = [{"x": 1, "text": ""}]
    with Odd(predict=answer).running() as address, Client(grpc=address) as client:
        with pytest.raises(ServingError) as caught:
            client.predict("m", instances=rows)
        assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, told)
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        plain = {name: array.tolist() for name, array in outputs.items()}
        assert client.predict("m", inputs=columns) == (plain["y"] if len(plain) == 1 else plain)


def test_a_single_text() -> None:
    proto = odd_tensor(7, (), string_val=[b"a"])
    assert from_proto(proto, "y").tolist() == b"a"


def test_threads_and_event_loops_may_share_a_client() -> None:
    answers = [(200, '{"predictions": [1]}')] * 9

    async def ask_in_a_loop(client: Client) -> Any:
        return client.predict("m", instances=[1])

    with http_server(*answers) as (url, asked), Client(rest=url) as client, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: client.predict("m", instances=[1]), range(8)))
        found.append(asyncio.run(ask_in_a_loop(client)))
        assert found == [[1]] * 9
        assert len(asked) == 9


def test_a_client_may_be_closed_twice_and_unused() -> None:
    client = Client(rest="http://127.0.0.1:1")
    client.close()
    client.close()
