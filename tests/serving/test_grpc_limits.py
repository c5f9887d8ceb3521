"""What a gRPC request may ask for: its size, its number, its time."""

from __future__ import annotations

import asyncio
import re
import time
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
    regression_pb2,
)

from penstock.serving.errors import ServingError
from penstock.serving.grpc_calls import Api, Calls, GrpcOptions
from penstock.serving.metrics import Metrics
from tests.serving.grpc_running import Gate, Models, Noting, Running, request, same, status_of

ASKED = {
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
}


@pytest.mark.parametrize(("dtype", "size"), [(1, 1 << 24), (9, 1 << 23), (7, 1 << 22)])
def test_a_tensor_of_a_few_bytes_that_stands_for_more_than_a_request_may_have(run, dtype, size):
    server = run(m=(note := Noting()))
    asked = request()
    asked.inputs["x"].dtype = dtype
    asked.inputs["x"].tensor_shape.dim.add(size=size)
    asked.inputs["x"].tensor_shape.dim.add(size=1)
    code, message = status_of(lambda: server.stub.Predict(asked, timeout=120))
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
    code, message = status_of(lambda: getattr(server.stub, method)(asked, timeout=120))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert message.startswith("Request larger than max when expanded (")


def test_more_requests_at_once_than_allowed(run):
    gate = Gate()
    server = run(slow=gate, max_concurrency=1)
    waiting = server.stub.Predict.future(request("slow"), timeout=120)
    assert gate.entered.wait(120)
    code, _ = status_of(lambda: server.stub.Predict(request("slow"), timeout=120))
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
    waiting = server.stub.Predict.future(request("slow"), timeout=120)
    assert gate.entered.wait(120)
    for _ in range(3):
        assert status_of(lambda: server.stub.Predict(request(), timeout=0.05))[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    threads = server._listener._services._calls._threads
    _let_arrive_what_was_sent(server)
    while threads._free._waiters:
        time.sleep(0.01)
    assert threads._pool._work_queue.qsize() == 0
    gate.open.set()
    waiting.result()
    server.stub.Predict(request(), timeout=120)
    assert len(note.threads) == 1
    # Its one thread is free again, and no more than one.
    server.stub.Predict(request(), timeout=120)
    assert threads._free._value == 1


def _let_arrive_what_was_sent(server: Running) -> None:
    """Ask what needs no thread: its answer comes after all that was sent before, given up or not, has arrived."""
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "m"
    model_service_pb2_grpc.ModelServiceStub(server.channel).GetModelStatus(asked, timeout=120)


def test_what_reaches_its_thread_after_the_deadline_is_not_run():
    manager: Any = Models(m=(note := Noting()))
    calls = Calls(manager, Metrics(), GrpcOptions(threads=1))
    api = Api("Predict", lambda model, asked: model.run("serving_default", {"x": np.zeros(1)}, ["y"]), lambda _: 0)
    late = SimpleNamespace(time_remaining=lambda: 0)
    with pytest.raises(ServingError, match="DEADLINE_EXCEEDED: Deadline exceeded before the request was run"):
        asyncio.run(calls.answer(api, request().model_spec, request(), late))
    calls.close()
    assert note.threads == []
