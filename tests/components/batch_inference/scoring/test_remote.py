"""Remote scoring against the embedded server, and against one that fails as told, over real sockets."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.manifest import NAME
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.request import InferenceRequest
from penstock.components.batch_inference.scoring import remote
from penstock.components.batch_inference.scoring.remote import RemoteScorer, RemoteSpec
from penstock.components.batch_inference.scoring.score import score_rows
from penstock.components.batch_inference.scoring.scorer import SavedModelSpec
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.options import ManagerOptions
from penstock.serving.protos import message
from penstock.serving.saved_model import SignatureInfo, TensorInfo
from penstock.serving.server import Server
from penstock.serving.server_options import ServerOptions
from tests.components.batch_inference.scaler import save_scaler
from tests.serving.fake_server import FakeServer

_ROWS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
_SIGNATURE = SignatureInfo(
    "serving_default",
    (TensorInfo("x", "float32", (None, 2)),),
    (TensorInfo("sum", "float32", (None,)), TensorInfo("y", "float32", (None, 2))),
)


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path whose version N multiplies by N."""
    base = tmp_path_factory.mktemp("served") / "scaler"
    for number in (1, 2):
        save_scaler(base / str(number), number)
    return base


@contextmanager
def _serving(base: Path) -> Iterator[str]:
    """Serve all versions in a base path, the first as ``stable``; give the address."""
    entry = ModelEntry("scaler", str(base), policy=VersionPolicy("all"), labels={"stable": 1})
    options = ServerOptions(grpc_port=0, rest_port=None, drain_seconds=0.0, max_request_bytes=1 << 16)
    manager = ManagerOptions(poll_seconds=0.02, load_retries=0, allow_labels_for_unavailable=True)
    server = Server(options, [entry], manager)
    try:
        yield f"127.0.0.1:{server.start().grpc}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def address(versions: Path) -> Iterator[str]:
    with _serving(versions) as found:
        yield found


@pytest.fixture
def spec(address: str) -> RemoteSpec:
    return RemoteSpec(address, "scaler")


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Do not wait; return for how long it would have been."""
    found: list[float] = []
    monkeypatch.setattr(remote, "time", SimpleNamespace(sleep=found.append))
    monkeypatch.setattr(remote, "random", SimpleNamespace(uniform=lambda low, high: (low + high) / 2))
    return found


class Failing(FakeServer):
    """Has one signature, whose answer is ``x`` times the version; fails as ``failures`` says."""

    def _getmodelmetadata(self, request: Any) -> Any:
        reply = super()._getmodelmetadata(request)
        signatures = message("tensorflow.serving.SignatureDefMap")()
        definition = signatures.signature_def["serving_default"]
        definition.inputs["x"].dtype = definition.outputs["y"].dtype = 1
        reply.metadata["signature_def"].value = signatures.SerializeToString()
        return reply

    def _predict(self, request: Any) -> Any:
        request.inputs["text"].CopyFrom(request.inputs["x"])
        return super()._predict(request)


@pytest.fixture
def failing() -> Failing:
    return Failing(ModelEntry("m", "/m", policy=VersionPolicy("specific", versions=(3,))))


def _sums(scorer: RemoteScorer) -> list[float]:
    try:
        return scorer.score({"x": _ROWS})["sum"].tolist()  # type: ignore[no-any-return]
    finally:
        scorer.close()


def test_the_outputs_are_those_of_the_model_in_process(spec: RemoteSpec, versions: Path):
    here = SavedModelSpec(pin(versions / "2"), "serving_default").open()
    there = spec.pinned().open()
    rows = np.random.default_rng(0).random((1000, 2), np.float32)
    try:
        expected, found = here.score({"x": rows}), there.score({"x": rows})
    finally:
        here.close()
        there.close()
    assert there.signature == here.signature == _SIGNATURE
    assert sorted(found) == sorted(expected) == ["sum", "y"]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_serialized_examples_are_sent_as_bytes(spec: RemoteSpec):
    import tensorflow as tf

    feature = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[1, 2]))}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    scorer = replace(spec, signature="serialized").pinned().open()
    try:
        assert scorer.signature.inputs == (TensorInfo("examples", "string", (None,)),)
        assert scorer.score({"examples": np.array([example] * 2, object)})["sum"].tolist() == [6, 6]
    finally:
        scorer.close()


def test_only_the_outputs_that_are_asked_for_come_back(spec: RemoteSpec):
    scorer = replace(spec, outputs=("sum",)).open()
    try:
        assert scorer.signature.outputs == (TensorInfo("sum", "float32", (None,)),)
        assert list(scorer.score({"x": _ROWS})) == ["sum"]
    finally:
        scorer.close()


def test_a_label_or_the_newest_is_pinned_to_a_version(spec: RemoteSpec):
    assert spec.pinned() == replace(spec, version=2)
    stable = replace(spec, label="stable").pinned()
    assert stable == replace(spec, version=1)
    assert _sums(stable.open()) == [3, 7, 11]
    assert stable.pinned() == stable


def test_a_version_that_comes_meanwhile_is_not_mixed_in(versions: Path, tmp_path: Path):
    base = Path(shutil.copytree(versions, tmp_path / "scaler"))
    with _serving(base) as address:
        spec = RemoteSpec(address, "scaler")
        scorer = spec.pinned().open()
        (save_scaler(tmp_path / "new", 3)).rename(base / "3")
        while spec.pinned().version != 3:
            threading.Event().wait(0.01)
        assert _sums(scorer) == [6, 14, 22]


def test_a_version_that_is_gone_ends_the_run(spec: RemoteSpec):
    scorer = replace(spec, version=2).open()
    gone = replace(spec, version=7)
    moved = RemoteScorer(gone, scorer._client, scorer.signature)
    with pytest.raises(EnvironmentProblem) as caught:
        _sums(moved)
    assert str(caught.value) == (
        f"the server at {spec.grpc} no longer answers with version 7 of scaler\n"
        "  received: NOT_FOUND: Servable not found for request: Specific(scaler, 7)\n"
        "  expected: the version that the run began with, until it ends\n"
        "  next: keep that version in service meanwhile, and run it again"
    )


def test_a_bad_row_costs_itself_only(spec: RemoteSpec):
    scorer = spec.open()
    rows = np.concatenate([_ROWS, [[-1, 1]], _ROWS]).astype(np.float32)
    try:
        scored = score_rows(scorer, {"x": rows}, 7)
    finally:
        scorer.close()
    assert scored.good.tolist() == [0, 1, 2, 4, 5, 6]
    assert scored.outputs["sum"].tolist() == [6, 14, 22, 6, 14, 22]
    assert [(number, cause.splitlines()[0][:21]) for number, cause in scored.bad] == [(3, "the model refuses it:")]
    assert "a number is negative" in scored.bad[0][1]


def test_a_run_that_asks_a_server_writes_what_one_in_process_writes(address: str, versions: Path, tmp_path: Path):
    rows = [{"x": [number, 0.1]} for number in range(50)]
    rows[7]["x"] = [-1, 0]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    served = {"remote": {"grpc": address, "model": "scaler", "label": "stable", "in_flight": 3}}
    results = []
    for mode, model in (("saved_model", pin(versions / "1")), (served, None)):
        config = BatchInferenceConfig.model_validate({"mode": mode, "batch": {"max_rows": 8}, "max_error_rate": 1})
        output = tmp_path / ("remote" if model is None else "here")
        results.append(infer_here(InferenceRequest(config, (f"{tmp_path}/rows.jsonl",), output, model)))
    here, there = (
        [Path(str(result.output / name)).read_bytes() for name in (*result.files, *result.error_files)] for result in results
    )
    assert there == here
    assert [(result.rows, result.errors) for result in results] == [(50, 1)] * 2
    manifest = json.loads((tmp_path / "remote" / NAME).read_text())
    assert manifest["model"] == {"grpc": address, "name": "scaler", "version": 1}


def test_a_batch_that_is_too_large_for_the_server_is_halved(spec: RemoteSpec, waits: list[float]):
    rows = np.ones((20_000, 2), np.float32)
    scorer = spec.open()
    try:
        with pytest.raises(ServingError, match="message larger than max") as caught:
            scorer.score({"x": rows})
        scored = score_rows(scorer, {"x": rows}, 20_000)
    finally:
        scorer.close()
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert (len(scored.good), scored.bad, waits) == (20_000, (), [])


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
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    scorer = RemoteSpec(f"127.0.0.1:{port}", "m", version=3, retries=100).open()
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
    together = threading.Barrier(2, timeout=30)
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


@pytest.mark.parametrize(
    ("changes", "wanted", "answer"),
    [
        ({"model": "digits"}, "model 'digits'", "NOT_FOUND: Servable not found for request: Latest(digits)"),
        (
            {"version": 9},
            "version 9 of a model 'scaler'",
            "NOT_FOUND: Servable not found for request: Specific(scaler, 9)",
        ),
        (
            {"label": "canary"},
            "model 'scaler' with the label 'canary'",
            "INVALID_ARGUMENT: Unrecognized servable version label: canary",
        ),
    ],
)
def test_what_the_server_does_not_have_is_said(spec: RemoteSpec, changes: dict[str, Any], wanted: str, answer: str):
    with pytest.raises(ArtifactError) as caught:
        replace(spec, **changes).pinned()
    assert str(caught.value) == (
        f"the server at {spec.grpc} has no {wanted}\n  received: {answer}\n"
        "  next: look at what it serves: penstock models list"
    )


def test_an_unknown_signature_or_output_is_said_before_the_first_row(spec: RemoteSpec):
    with pytest.raises(ArtifactError) as caught:
        replace(spec, signature="serialised").pinned()
    assert str(caught.value) == (
        f"scaler at {spec.grpc}: the model has no signature 'serialised'\n  received: serialised\n"
        "  expected: one of serialized, serving_default\n  next: did you mean 'serialized'?"
    )
    with pytest.raises(ArtifactError, match="signature 'serving_default' has no output 'yy'"):
        replace(spec, outputs=("yy",)).pinned()


def test_an_address_that_is_none_is_said():
    with pytest.raises(ConfigError, match="'http://localhost:8501' is no gRPC address"):
        RemoteSpec("http://localhost:8501", "m").pinned()


def test_a_spec_travels(spec: RemoteSpec):
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(spec) == hash(replace(spec))
