from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.pace import Pace
from tests.serving.grpc_running import Gate, Noting, code_of, request, same, status_of
from tests.serving.inference.fakes import Arrays


@pytest.fixture
def all_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy the machine is, every call but the first of its kind counts as fast."""
    monkeypatch.setattr(Pace, "is_fast", lambda self, kind: kind in self._seconds)


@pytest.mark.usefixtures("all_fast")
def test_a_model_that_was_fast_is_called_on_the_event_loop(run):
    server = run(m=(note := Noting()))
    for _ in range(3):
        server.stub.Predict(request(), timeout=120)
    assert note.threads[0].startswith("grpc")
    assert note.threads[1:] == [server.thread.name] * 2


@pytest.mark.usefixtures("all_fast")
def test_models_behind_a_batch_scheduler_never_are(run):
    server = run(m=(note := Noting()))
    server.models.models["m"].batched = frozenset(["serving_default"])
    for _ in range(3):
        server.stub.Predict(request(), timeout=120)
    assert [name[:5] for name in note.threads] == ["grpc_"] * 3


@pytest.mark.usefixtures("all_fast")
def test_a_small_request_that_stands_for_a_large_one_is_not_for_the_event_loop(run):
    server = run(m=(note := Noting()))
    for size in (1, 1 << 13, 1 << 14):
        asked = request()
        asked.inputs["x"].tensor_shape.dim.add(size=size)
        server.stub.Predict(asked, timeout=120)
    assert note.threads[1] == server.thread.name
    assert note.threads[2].startswith("grpc")


def test_a_slow_model_holds_up_no_other(run):
    gate = Gate()
    server = run(slow=gate, m=same)
    waiting = server.stub.Predict.future(request("slow"), timeout=120)
    assert gate.entered.wait(120)
    assert list(server.stub.Predict(request(), timeout=120).outputs["y"].float_val) == [2.0]
    gate.open.set()
    assert waiting.result().model_spec.version.value == 5


def test_a_drain_lets_requests_end_and_takes_no_more(run):
    gate = Gate()
    server = run(slow=gate, m=same)
    waiting = server.stub.Predict.future(request("slow"), timeout=120)
    assert gate.entered.wait(120)
    with ThreadPoolExecutor(1) as pool:
        stopped = pool.submit(server.stop)
        # The drain begins in another thread: until it has, requests are answered.
        while (code := code_of(lambda: server.stub.Predict(request(), timeout=120))) == grpc.StatusCode.OK:
            pass
        # The second is for those that had arrived, but were not begun.
        assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
        assert not stopped.done()
        gate.open.set()
        assert list(waiting.result().outputs["y"].float_val) == [2.0]
        stopped.result()


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
    assert status_of(lambda: server.stub.Predict(request(), timeout=120)) == expected


def test_a_load_that_failed_ends_with_its_error(run):
    stub = model_service_pb2_grpc.ModelServiceStub(run(m=same).channel)
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "m"
    failed = stub.GetModelStatus(asked, timeout=120).model_version_status[1]
    assert (failed.version, failed.state) == (4, get_model_status_pb2.ModelVersionStatus.END)
    assert (failed.status.error_code, failed.status.error_message) == (15, "a byte")


def test_requests_are_counted(run):
    server = run(m=same)
    server.stub.Predict(request(), timeout=120)
    status_of(lambda: server.stub.Predict(request("nobody"), timeout=120))
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
        answer = prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict(request(), timeout=120)
    assert len(answer.outputs["y"].float_val) == 2_000_000
