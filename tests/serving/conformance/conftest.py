"""One real server for all conformance vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from tensorflow_serving.apis import prediction_service_pb2_grpc

from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.models.state import State
from penstock.serving.server import Ports, Server, ServerOptions
from tests.serving.conformance.models import export_zoo

LARGEST_REQUEST = 1 << 20


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base path with the versions 1, 2 and 3."""
    folder = tmp_path_factory.mktemp("models") / "zoo"
    export_zoo(folder, (1, 2, 3))
    return folder


@pytest.fixture(scope="session")
def server(zoo: Path) -> Iterator[Server]:
    """A running server: ``zoo`` serves 2 and 3, labelled ``stable`` and ``canary``; ``half`` serves 1 only."""
    entries = (
        ModelEntry(
            "zoo",
            str(zoo),
            policy=VersionPolicy("specific", versions=(2, 3)),
            labels={"stable": 2, "canary": 3, "gone": 1},
        ),
        ModelEntry("half", str(zoo), policy=VersionPolicy("specific", versions=(1,))),
    )
    options = ServerOptions(grpc_port=0, rest_port=0, max_request_bytes=LARGEST_REQUEST)
    running = Server(options, entries, ManagerOptions(poll_seconds=0.1, allow_labels_for_unavailable=True))
    running.start()
    # A start waits for one version of each model only.
    assert running.manager.wait_until(lambda: {s.state for s in running.manager.status("zoo")} == {State.AVAILABLE}, 60)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def ports(server: Server) -> Ports:
    """The ports of the server."""
    return server.ports


@pytest.fixture(scope="module")
def stub(ports: Ports) -> Iterator[prediction_service_pb2_grpc.PredictionServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{ports.grpc}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)
