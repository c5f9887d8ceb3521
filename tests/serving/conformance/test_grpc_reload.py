"""HandleReloadConfigRequest through the official stubs: what a server serves before, during and after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import (
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from penstock.serving.model_config import ModelEntry, VersionPolicy, entries_to_proto
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.server import Server, ServerOptions
from tests.serving.conformance.grpc_vectors import NOT_FOUND, PRECONDITION, floats, inputs, spec


class Reloading:
    """A server of one test, and what can be asked of it in one line."""

    def __init__(self, server: Server) -> None:
        self.manager = server.manager
        self.channel = grpc.insecure_channel(f"127.0.0.1:{server.start().grpc}")
        self._models = model_service_pb2_grpc.ModelServiceStub(self.channel)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def reload(self, *entries: ModelEntry, metric: str = "") -> model_management_pb2.ReloadConfigResponse:
        request = model_management_pb2.ReloadConfigRequest(metric_names=[metric] if metric else [])
        request.config.CopyFrom(entries_to_proto(entries))
        return self._models.HandleReloadConfigRequest(request, timeout=120)

    def status(self, name: str) -> dict[int, get_model_status_pb2.ModelVersionStatus]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = name
        return {s.version: s for s in self._models.GetModelStatus(request, timeout=120).model_version_status}

    def states(self, name: str) -> dict[int, int]:
        return {version: status.state for version, status in self.status(name).items()}

    def wait(self, name: str, states: dict[int, int]) -> None:
        def reached() -> bool:
            return {status.version: status.state for status in self.manager.status(name)} == states

        assert self.manager.wait_until(reached, 60)
        assert self.states(name) == states

    def answering(self, chosen: str) -> int:
        """Return the version that answers."""
        request = predict_pb2.PredictRequest()
        text_format.Parse(chosen + inputs(x=floats(0)), request)
        version: int = self._prediction.Predict(request, timeout=120).model_spec.version.value
        return version


@pytest.fixture
def reloading(zoo, tmp_path) -> Iterator[Reloading]:
    for version in (1, 2):
        (tmp_path / str(version)).symlink_to(zoo / str(version))
    server = Server(
        ServerOptions(grpc_port=0, rest_port=None),
        (served(tmp_path, 1),),
        ManagerOptions(poll_seconds=0.05, load_retries=0),
    )
    asking = Reloading(server)
    yield asking
    asking.channel.close()
    server.stop()


def served(folder: Path, *versions: int, name: str = "one", **labels: int) -> ModelEntry:
    return ModelEntry(name, str(folder), policy=VersionPolicy("specific", versions=versions), labels=labels)


def test_a_reload_replaces_the_whole_config_and_waits_for_new_models(reloading, tmp_path):
    answer = reloading.reload(served(tmp_path, 2, name="two"), metric="/tensorflow/serving/request_count")
    assert answer.status.error_code == 0
    assert [(m.name, m.int64_value_increase) for m in answer.metric] == [("/tensorflow/serving/request_count", 0)]
    assert reloading.states("two") == {2: 30}
    assert reloading.states("one")[1] in (40, 50)


def test_a_reload_does_not_wait_for_new_versions(reloading, tmp_path):
    assert reloading.reload(served(tmp_path, 1, 9)).status.error_code == 0
    assert reloading.states("one") == {1: 30}


def test_a_label_attaches_only_to_what_is_available(reloading, tmp_path):
    with pytest.raises(grpc.RpcError) as caught:
        reloading.reload(served(tmp_path, 1, stable=2))
    assert caught.value.code() == PRECONDITION
    assert caught.value.details() == (
        "Request to assign label to version 2 of model one, which is not currently available for inference"
    )
    assert reloading.reload(served(tmp_path, 1, stable=1)).status.error_code == 0
    assert reloading.answering(spec("one", label="stable")) == 1


def test_the_safe_move_of_a_label(reloading, tmp_path):
    reloading.reload(served(tmp_path, 1, stable=1))
    reloading.reload(served(tmp_path, 1, 2, stable=1))
    reloading.wait("one", {1: 30, 2: 30})
    assert (reloading.answering(spec("one")), reloading.answering(spec("one", label="stable"))) == (2, 1)
    reloading.reload(served(tmp_path, 1, 2, stable=2))
    assert reloading.answering(spec("one", label="stable")) == 2
    reloading.reload(served(tmp_path, 2, stable=2))
    reloading.wait("one", {1: 50, 2: 30})
    assert reloading.answering(spec("one", label="stable")) == 2


def test_a_load_that_fails_ends_with_its_error_and_the_old_version_serves_on(reloading, tmp_path):
    (tmp_path / "3").mkdir()
    reloading.reload(served(tmp_path, 1, 3))
    reloading.wait("one", {1: 30, 3: 50})
    failed = reloading.status("one")[3].status
    assert (failed.error_code, failed.error_message) == (
        5,
        f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path / '3'}",
    )
    assert reloading.answering(spec("one")) == 1


def test_who_removes_the_last_version_has_no_model(reloading, tmp_path):
    (tmp_path / "1").unlink()
    (tmp_path / "2").unlink()
    reloading.wait("one", {1: 50})
    with pytest.raises(grpc.RpcError) as caught:
        reloading.answering(spec("one"))
    assert (caught.value.code(), caught.value.details()) == (
        NOT_FOUND,
        "Servable not found for request: Latest(one)",
    )
