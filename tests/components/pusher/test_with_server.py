"""Pushes to a server that runs: the embedded one, over real sockets."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.errors import EnvironmentProblem
from penstock.serving.client import Client
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.models.options import ManagerOptions
from penstock.serving.models.state import State
from penstock.serving.server import Server
from penstock.serving.server_options import ServerOptions

pytestmark = pytest.mark.usefixtures("gate")
_LABELS = {"stable": "keep", "canary": "this"}
_ROW = {"x": [[1.0, 2.0]]}


@pytest.fixture
def address(base: Path, model: Path) -> Iterator[str]:
    """A server that serves the first version of the model, looking at its base path ten times a second."""
    push(PushRequest(model, _config(base, model_name="digits")))
    options = ServerOptions(grpc_port=0, rest_port=None, drain_seconds=0.0)
    watching = ManagerOptions(poll_seconds=0.1, load_retries=0)
    server = Server(options, ModelsFile(base.parent / "models.config").read(), watching)
    try:
        yield f"127.0.0.1:{server.start().grpc}"
    finally:
        server.stop()


@pytest.fixture
def model(saved_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_model, tmp_path / "model"))


def _config(base: Path, address: str | None = None, **values: Any) -> PusherConfig:
    place = {"tf_serving": {"base_path": str(base), "grpc": address}} if address else {"directory": str(base)}
    return PusherConfig.model_validate({"destination": place, **values})


def _push(model: Path, base: Path, address: str, **values: Any) -> PushResult:
    return push(PushRequest(model, _config(base, address, **values)))


def test_versions_and_labels_are_served_when_the_push_ends(model: Path, base: Path, address: str):
    with Client(grpc=address, timeout=120) as client:
        assert _push(model, base, address, labels=_LABELS).labels == {"canary": 2, "stable": 2}
        assert _push(model, base, address, labels=_LABELS, keep_versions=1).labels == {"canary": 3, "stable": 2}
        for label in ("stable", "canary"):
            assert client.predict("digits", inputs=_ROW, label=label, signature="predict") == [[2.0, 4.0]]
        states = {status.version: status.state for status in client.status("digits")}
    assert (states[3], states[2]) == (State.AVAILABLE, State.AVAILABLE)
    assert sorted(child.name for child in base.iterdir()) == [".penstock-removed", ".penstock-versions", "2", "3"]


def test_the_server_finds_a_version_by_itself_and_the_push_waits_for_it(model: Path, base: Path, address: str):
    _push(model, base, address, wait_until_available="60s")
    with Client(grpc=address, timeout=120) as client:
        assert client.status("digits", 2)[0].state == State.AVAILABLE


def test_a_version_that_does_not_load_leaves_the_old_state_serving(model: Path, base: Path, address: str):
    _push(model, base, address, labels=_LABELS)
    (model / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(EnvironmentProblem, match="version 3 of digits is published, but not in service: ") as caught:
        _push(model, base, address, labels=_LABELS)
    assert caught.value.hint == "the config of before is back; read the server's log, then push again"
    (entry,) = ModelsFile(base.parent / "models.config").read()
    assert entry == ModelEntry(
        "digits", str(base), policy=VersionPolicy("specific", versions=(2,)), labels={"canary": 2, "stable": 2}
    )
    with Client(grpc=address, timeout=120) as client:
        assert client.predict("digits", inputs=_ROW, label="canary", signature="predict") == [[2.0, 4.0]]
        assert client.predict("digits", inputs=_ROW, signature="predict") == [[2.0, 4.0]]
