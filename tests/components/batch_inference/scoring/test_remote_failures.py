"""Remote scoring against a server that fails as told, over real sockets: what is tried again, and how often."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penstock.components.batch_inference.scoring import remote
from penstock.components.batch_inference.scoring.remote import RemoteSpec
from penstock.errors import EnvironmentProblem
from penstock.serving.errors import Code, ServingError
from tests.components.batch_inference.scoring.conftest import Failing
from tests.ports import free_port
from tests.serving.fake_server import FakeServer


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED])
def test_what_may_pass_is_tried_again(failing: FakeServer, code: Code, waits: list[float]):
    with failing.running() as address:
        scorer = RemoteSpec(address, "m", version=3).open()
        failing.failures["Predict"] = [ServingError(code, "not now")] * 3
        assert scorer.score({"x": np.ones(2, np.float32)})["y"].tolist() == [3, 3]
        scorer.close()
    assert failing.calls == ["GetModelMetadata", *["Predict"] * 4]
    assert waits == [0.1, 0.2, 0.4]


def test_retries_end(failing: FakeServer, waits: list[float]):
    with failing.running() as address:
        scorer = RemoteSpec(address, "m", version=3, retries=2).open()
        failing.failures["Predict"] = [ServingError(Code.RESOURCE_EXHAUSTED, "the queue is full")] * 9
        with pytest.raises(EnvironmentProblem) as caught:
            scorer.score({"x": np.ones(2, np.float32)})
        scorer.close()
    assert str(caught.value) == (
        f"the server at {address} does not answer after 3 attempts\n"
        "  received: RESOURCE_EXHAUSTED: the queue is full\n"
        "  next: look at the server's log; lower `in_flight` or `batch.max_rows` if it is overloaded"
    )
    assert (len(waits), failing.calls.count("Predict")) == (2, 3)


def test_what_will_not_pass_is_not_tried_again(failing: FakeServer):
    with failing.running() as address:
        scorer = RemoteSpec(address, "m", version=3).open()
        failing.failures["Predict"] = [ServingError(Code.PERMISSION_DENIED, "not you")]
        with pytest.raises(ServingError, match="PERMISSION_DENIED: not you"):
            scorer.score({"x": np.ones(2, np.float32)})
        scorer.close()


def test_a_server_that_goes_away_and_comes_back_is_waited_for(failing: FakeServer, monkeypatch: pytest.MonkeyPatch):
    import grpc

    server = grpc.server(ThreadPoolExecutor(2), handlers=[failing])
    port = free_port()
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    scorer = RemoteSpec(f"127.0.0.1:{port}", "m", version=3, retries=2000).open()
    server.stop(None).wait()
    again = grpc.server(ThreadPoolExecutor(2), handlers=[failing])
    tries = []

    def come_back(seconds: float) -> None:
        tries.append(seconds)
        if len(tries) == 2:
            again.add_insecure_port(f"127.0.0.1:{port}")
            again.start()
        threading.Event().wait(0.05)

    monkeypatch.setattr(remote, "time", SimpleNamespace(sleep=come_back))
    try:
        assert scorer.score({"x": np.ones(2, np.float32)})["y"].tolist() == [3, 3]
    finally:
        scorer.close()
        again.stop(None).wait()
    assert len(tries) >= 2


def test_requests_in_progress_are_bounded(failing: Failing):
    together = threading.Barrier(2, timeout=120)
    lock = threading.Lock()
    now, most = 0, 0
    answer = failing._predict

    def slow(request: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait()
        with lock:
            now -= 1
        return answer(request)

    failing._predict = slow  # type: ignore[method-assign]
    with failing.running() as address:
        scorer = RemoteSpec(address, "m", version=3, in_flight=2).open()
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda n: scorer.score({"x": np.full(1, n, np.float32)})["y"][0], range(8)))
        scorer.close()
    assert scorer.parallelism == 2
    assert most == 2
    assert found == [3 * n for n in range(8)]


def test_no_server_is_one_clear_error(waits: list[float]):
    with pytest.raises(EnvironmentProblem) as caught:
        RemoteSpec("127.0.0.1:9", "m").pinned()
    text = str(caught.value)
    assert text.splitlines()[0] == "no server can be reached at 127.0.0.1:9"
    assert text.splitlines()[-1] == "  next: start one with: penstock serve"
    assert waits == []


def test_a_server_that_hangs_is_given_up_after_the_deadline():
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(EnvironmentProblem, match=f"the server at {address} has not answered within 0.05 s"):
            RemoteSpec(address, "m", deadline_seconds=0.05).pinned()
