"""A server with two versions of the scaler, and one that fails as told, over real sockets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.components.batch_inference.scoring import remote
from penstock.components.batch_inference.scoring.remote import RemoteSpec
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.options import ManagerOptions
from penstock.serving.models.state import State
from penstock.serving.protos import message
from penstock.serving.server import Server
from penstock.serving.server_options import ServerOptions
from tests.components.batch_inference.scaler import save_scaler
from tests.serving.fake_server import FakeServer


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path whose version N multiplies by N."""
    base = tmp_path_factory.mktemp("served") / "scaler"
    for number in (1, 2):
        save_scaler(base / str(number), number)
    return base


@contextmanager
def serving(base: Path) -> Iterator[str]:
    """Serve all versions in a base path, the first as ``stable``; give the address."""
    entry = ModelEntry("scaler", str(base), policy=VersionPolicy("all"), labels={"stable": 1})
    options = ServerOptions(grpc_port=0, rest_port=None, drain_seconds=0.0, max_request_bytes=1 << 16)
    manager = ManagerOptions(poll_seconds=0.02, load_retries=0, allow_labels_for_unavailable=True)
    server = Server(options, [entry], manager)
    try:
        port = server.start().grpc
        # The server answers as soon as one version is loaded.
        present = {int(folder.name) for folder in base.iterdir()}
        while {one.version for one in server.manager.status("scaler") if one.state is State.AVAILABLE} != present:
            threading.Event().wait(0.01)
        yield f"127.0.0.1:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="module")
def address(versions: Path) -> Iterator[str]:
    with serving(versions) as found:
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
