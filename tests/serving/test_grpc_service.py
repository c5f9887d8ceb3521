from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from penstock.serving.errors import Code, ServingError
from penstock.serving.listeners import GrpcListener
from penstock.serving.metrics import Metrics
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.server_options import ServerOptions
from tests.serving.inference.fakes import Arrays, FakeModel, definition

Function = Callable[[Arrays], Arrays]


class Models:
    """A manager whose models are Python functions of ``x``."""

    def __init__(self, **functions: Function) -> None:
        self._models = {
            name: FakeModel(definition(["x"], ["y"]), function, version=5) for name, function in functions.items()
        }

    @contextmanager
    def use(self, name: str, *, version: int | None = None, label: str | None = None) -> Iterator[FakeModel]:
        if name not in self._models:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({name})")
        yield self._models[name]

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        return [VersionStatus(5, State.AVAILABLE), VersionStatus(4, State.END, Code.DATA_LOSS, "a byte")]


class Running:
    """A listening server and its stubs."""

    def __init__(self, *, in_threads: bool = False, options: ServerOptions, **functions: Function) -> None:
        self.metrics = Metrics()
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._loop.run_forever)
        self.thread.start()
        manager: Any = Models(**functions)
        self._listener = GrpcListener(manager, self.metrics, options, in_threads=in_threads)
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

    def start(*, max_concurrency: int = 8, in_threads: bool = False, **functions: Function) -> Running:
        options = ServerOptions(grpc_port=0, max_concurrency=max_concurrency)
        started.append(Running(options=options, in_threads=in_threads, **functions))
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


def test_a_model_that_was_fast_is_called_on_the_event_loop(run):
    threads: list[str] = []

    def note(inputs: Arrays) -> Arrays:
        threads.append(threading.current_thread().name)
        return same(inputs)

    server = run(m=note)
    for _ in range(3):
        server.stub.Predict(request(), timeout=20)
    # Nothing is known of the first call; one that was slow by accident may be followed by another in a thread.
    assert threads[0].startswith("grpc")
    assert server.thread.name in threads


def test_models_behind_a_batch_scheduler_never_are(run):
    threads: list[str] = []

    def note(inputs: Arrays) -> Arrays:
        threads.append(threading.current_thread().name)
        return same(inputs)

    server = run(m=note, in_threads=True)
    for _ in range(3):
        server.stub.Predict(request(), timeout=20)
    assert [name[:5] for name in threads] == ["grpc_"] * 3


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


def test_what_nobody_foresaw_is_internal_and_logged(run, caplog):
    def fail(_: Arrays) -> Arrays:
        raise RuntimeError("boom")

    server = run(m=fail)
    assert status_of(lambda: server.stub.Predict(request())) == (grpc.StatusCode.INTERNAL, "RuntimeError: boom")
    assert "a request failed" in caplog.text
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
    assert ':tensorflow:serving:request_count{model_name="nobody",status="NOT_FOUND"} 1' in page
    assert ':tensorflow:serving:request_latency_count{model_name="m",API="Predict",entrypoint="GRPC"} 1' in page
    assert ':tensorflow:serving:runtime_latency_count{model_name="m",API="Predict",runtime="TF1"} 1' in page


def test_large_replies_are_not_refused(run):
    server = run(m=lambda _: {"y": np.zeros(2_000_000, np.float32)})
    with grpc.insecure_channel(
        f"127.0.0.1:{server._listener.port}", options=[("grpc.max_receive_message_length", -1)]
    ) as channel:
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request(), timeout=20)
    assert len(answer.outputs["y"].float_val) == 2_000_000
