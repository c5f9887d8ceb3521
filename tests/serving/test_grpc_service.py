from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)

from penstock.serving.errors import Code, ServingError
from penstock.serving.grpc_calls import Api, Calls, GrpcOptions
from penstock.serving.inference.pace import Pace
from penstock.serving.listeners import GrpcListener
from penstock.serving.metrics import Metrics
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.server_options import ServerOptions
from tests.serving.inference.fakes import Arrays, FakeModel, definition

Function = Callable[[Arrays], Arrays]
ASKED = {
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
}


class Models:
    """A manager whose models are Python functions of ``x``."""

    def __init__(self, **functions: Function) -> None:
        self.models = {
            name: FakeModel(definition(["x"], ["y"]), function, version=5) for name, function in functions.items()
        }

    @contextmanager
    def use(self, name: str, *, version: int | None = None, label: str | None = None) -> Iterator[FakeModel]:
        if name not in self.models:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({name})")
        yield self.models[name]

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        return [VersionStatus(5, State.AVAILABLE), VersionStatus(4, State.END, Code.DATA_LOSS, "a byte")]


class Running:
    """A listening server and its stubs."""

    def __init__(self, *, options: ServerOptions, **functions: Function) -> None:
        self.metrics = Metrics()
        for name in functions:
            self.metrics.state_changed(name, VersionStatus(5, State.AVAILABLE))
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._loop.run_forever)
        self.thread.start()
        self.models = Models(**functions)
        manager: Any = self.models
        self._listener = GrpcListener(manager, self.metrics, options)
        self.on_loop(self._listener.listen())
        self.on_loop(self._listener.serve())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self._listener.port}")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.on_loop(self._listener.drain())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self.thread.join()
            self._loop.close()
            self.channel.close()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    started: list[Running] = []

    def start(*, max_concurrency: int = 8, threads: int = 4, **functions: Function) -> Running:
        options = ServerOptions(grpc_port=0, max_concurrency=max_concurrency, threads=threads)
        started.append(Running(options=options, **functions))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def request(model: str = "m") -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    made.inputs["x"].dtype = 1
    made.inputs["x"].float_val.append(2)
    return made


def same(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"]}


def status_of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        status: Any = error
        return status.code()
    return grpc.StatusCode.OK


class Gate:
    """A function that waits inside the model until it may go on."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, inputs: Arrays) -> Arrays:
        self.entered.set()
        assert self.open.wait(30)
        return same(inputs)


class Noting:
    """A function that notes the threads in which it is called."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, inputs: Arrays) -> Arrays:
        self.threads.append(threading.current_thread().name)
        return same(inputs)


@pytest.fixture
def all_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, every call but the first of its kind counts as fast."""
    monkeypatch.setattr(Pace, "is_fast", lambda self, kind: kind in self._seconds)


@pytest.mark.usefixtures("all_fast")
def test_a_model_that_was_fast_is_called_on_the_event_loop(run):
    server = run(m=(note := Noting()))
    for _ in range(3):
        server.stub.Predict(request(), timeout=20)
    assert note.threads[0].startswith("grpc")
    assert note.threads[1:] == [server.thread.name] * 2


@pytest.mark.usefixtures("all_fast")
def test_models_behind_a_batch_scheduler_never_are(run):
    server = run(m=(note := Noting()))
    server.models.models["m"].batched = frozenset(["serving_default"])
    for _ in range(3):
        server.stub.Predict(request(), timeout=20)
    assert [name[:5] for name in note.threads] == ["grpc_"] * 3


@pytest.mark.usefixtures("all_fast")
def test_a_small_request_that_stands_for_a_large_one_is_not_for_the_event_loop(run):
    server = run(m=(note := Noting()))
    for size in (1, 1 << 13, 1 << 14):
        asked = request()
        asked.inputs["x"].tensor_shape.dim.add(size=size)
        server.stub.Predict(asked, timeout=20)
    assert note.threads[1] == server.thread.name
    assert note.threads[2].startswith("grpc")


@pytest.mark.parametrize(("dtype", "size"), [(1, 1 << 24), (9, 1 << 23), (7, 1 << 22)])
def test_a_tensor_of_a_few_bytes_that_stands_for_more_than_a_request_may_have(run, dtype, size):
    server = run(m=(note := Noting()))
    asked = request()
    asked.inputs["x"].dtype = dtype
    asked.inputs["x"].tensor_shape.dim.add(size=size)
    asked.inputs["x"].tensor_shape.dim.add(size=1)
    code, message = status_of(lambda: server.stub.Predict(asked, timeout=20))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert re.fullmatch(r"Request larger than max when expanded \(\d+ vs\. 67108864\)", message)
    assert note.threads == []


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_a_context_is_counted_once_for_each_record(run, method):
    server = run(m=same)
    asked = ASKED[method]()
    (asked.tasks.add() if method == "MultiInference" else asked).model_spec.name = "m"
    asked.input.example_list_with_context.context.features.feature["c"].bytes_list.value.append(bytes(1 << 16))
    for _ in range(1024):
        asked.input.example_list_with_context.examples.add()
    code, message = status_of(lambda: getattr(server.stub, method)(asked, timeout=20))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert message.startswith("Request larger than max when expanded (")


def test_a_slow_model_holds_up_no_other(run):
    gate = Gate()
    server = run(slow=gate, m=same)
    waiting = server.stub.Predict.future(request("slow"), timeout=30)
    assert gate.entered.wait(30)
    assert list(server.stub.Predict(request(), timeout=20).outputs["y"].float_val) == [2.0]
    gate.open.set()
    assert waiting.result().model_spec.version.value == 5


def test_a_drain_lets_requests_end_and_takes_no_more(run):
    gate = Gate()
    server = run(slow=gate, m=same)
    waiting = server.stub.Predict.future(request("slow"), timeout=30)
    assert gate.entered.wait(30)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(server.stop)
        # The drain begins in another thread: until it has, requests are answered.
        while (code := code_of(lambda: server.stub.Predict(request(), timeout=20))) == grpc.StatusCode.OK:
            pass
        # The second is for those that had arrived, but were not begun.
        assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert not stopped.done()
        gate.open.set()
        assert list(waiting.result().outputs["y"].float_val) == [2.0]
        stopped.result()


def test_more_requests_at_once_than_allowed(run):
    gate = Gate()
    server = run(slow=gate, max_concurrency=1)
    waiting = server.stub.Predict.future(request("slow"), timeout=30)
    assert gate.entered.wait(30)
    code, _ = status_of(lambda: server.stub.Predict(request("slow"), timeout=20))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    gate.open.set()
    waiting.result()


def test_a_deadline(run):
    gate = Gate()
    server = run(slow=gate)
    code, _ = status_of(lambda: server.stub.Predict(request("slow"), timeout=0.05))
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    gate.open.set()


def test_what_waited_for_a_thread_until_its_deadline_is_never_run_and_not_kept(run):
    gate, note = Gate(), Noting()
    server = run(slow=gate, m=note, threads=1)
    waiting = server.stub.Predict.future(request("slow"), timeout=30)
    assert gate.entered.wait(30)
    for _ in range(3):
        assert status_of(lambda: server.stub.Predict(request(), timeout=0.05))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    threads = server._listener._services._calls._threads
    assert threads._pool._work_queue.qsize() == 0
    gate.open.set()
    waiting.result()
    server.stub.Predict(request(), timeout=20)
    assert len(note.threads) == 1
    # Its one thread is free again, and no more than one.
    server.stub.Predict(request(), timeout=20)
    assert threads._free._value == 1


def test_what_reaches_its_thread_after_the_deadline_is_not_run():
    manager: Any = Models(m=(note := Noting()))
    calls = Calls(manager, Metrics(), GrpcOptions(threads=1))
    api = Api("Predict", lambda model, asked: model.run("serving_default", {"x": np.zeros(1)}, ["y"]), lambda _: 0)
    late = SimpleNamespace(time_remaining=lambda: 0)
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED: Deadline exceeded before the request was run"):
        asyncio.run(calls.answer(api, request().model_spec, request(), late))
    calls.close()
    assert note.threads == []


def test_what_nobody_foresaw_is_internal_and_logged(run, caplog):
    def fail(_: Arrays) -> Arrays:
        raise RuntimeError("boom")

    server = run(m=fail)
    told = (grpc.StatusCode.INTERNAL, "Internal error: RuntimeError; see the server's log")
    assert status_of(lambda: server.stub.Predict(request())) == told
    assert "a PredictRequest failed" in caplog.text
    assert "boom" in caplog.text


def test_long_messages_are_cut(run):
    def fail(_: Arrays) -> Arrays:
        raise ServingError(Code.OUT_OF_RANGE, "x" * 2000)

    server = run(m=fail)
    expected = (grpc.StatusCode.OUT_OF_RANGE, "x" * 1024 + "...TRUNCATED")
    assert status_of(lambda: server.stub.Predict(request(), timeout=20)) == expected


def test_a_load_that_failed_ends_with_its_error(run):
    stub = model_service_pb2_grpc.ModelServiceStub(run(m=same).channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "m"
    failed = stub.GetModelStatus(asked, timeout=20).model_version_status[1]
    assert (failed.version, failed.state) == (4, get_model_status_pb2.ModelVersionStatus.END)
    assert (failed.status.error_code, failed.status.error_message) == (15, "a byte")


def test_requests_are_counted(run):
    server = run(m=same)
    server.stub.Predict(request(), timeout=20)
    status_of(lambda: server.stub.Predict(request("nobody"), timeout=20))
    page = server.metrics.page()
    assert ':tensorflow:serving:request_count{model_name="m",status="OK"} 1' in page
    assert ':tensorflow:serving:request_count{model_name="(unknown)",status="NOT_FOUND"} 1' in page
    assert ':tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 1' in page
    assert ':tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 1' in page


def test_large_replies_are_not_refused(run):
    server = run(m=lambda _: {"y": np.zeros(2_000_000, np.float32)})
    with grpc.insecure_channel(
        f"127.0.0.1:{server._listener.port}", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request(), timeout=20)
    assert len(answer.outputs["y"].float_val) == 2_000_000
