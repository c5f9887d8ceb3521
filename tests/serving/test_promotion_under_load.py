"""The embedded server under steady load while a label moves there and back: every request is answered."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.pipelines.models.change import Wish, change_label
from penstock.pipelines.models.find import find_model
from penstock.serving.client import Client
from penstock.serving.errors import Code, ServingError
from penstock.serving.manifest import MANIFEST, Manifest, walk
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.models.state import State
from penstock.serving.running import describe_process, record_server
from penstock.serving.server import Server, ServerOptions
from tests.pipelines.models.pushed import configure
from tests.serving.models.fakes import PATIENCE


def push(base: Path, version: int) -> None:
    """Publish a model whose signature multiplies x by its version."""
    import tensorflow as tf

    class Multiplier(tf.Module):  # type: ignore[misc]  # TensorFlow has no types.
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "x")])
        def predict(self, x: Any) -> Any:
            return {"y": x * version}

    module = Multiplier()
    staged = base / f"staged-{version}"
    tf.saved_model.save(module, str(staged), signatures={"serving_default": module.predict})
    files = {
        name: (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for name, path in walk(staged)
        if path.is_file()
    }
    (staged / MANIFEST).parent.mkdir(exist_ok=True)
    (staged / MANIFEST).write_bytes(Manifest(files).to_bytes())
    staged.rename(base / str(version))


class Load(threading.Thread):
    """Asks for the label again and again; keeps the versions that answered, and what failed."""

    def __init__(self, client: Client) -> None:
        super().__init__()
        self._client = client
        self._stopped = threading.Event()
        self.begun = threading.Event()
        self.answers: list[float] = []
        self.failures: list[Exception] = []

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self.answers += self._client.predict("digits", instances=[1.0], label="stable")
            except Exception as error:  # noqa: BLE001  Whatever fails is what the test is about.
                self.failures.append(error)
            self.begun.set()

    def stop(self) -> None:
        self._stopped.set()
        self.join()


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Version 1 as ``stable`` on an embedded server, version 2 beside it; gives the two addresses."""
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "serving" / "digits"
    push(base, 1)
    push(base, 2)
    config = configure(base, 1, stable=1)
    # As "penstock serve" starts it: labels are read before what they name is loaded.
    options = ManagerOptions(allow_labels_for_unavailable=True)
    server = Server(ServerOptions(grpc_port=0, rest_port=0, rest_timeout=PATIENCE), config, options)
    ports = server.start()
    addresses = f"127.0.0.1:{ports.grpc}", f"http://127.0.0.1:{ports.rest}"
    record_server(describe_process(os.getpid(), "embedded", *addresses, [config]))
    yield addresses
    server.stop()


def move(kind, version=None):
    wish = Wish(kind, "stable", version)
    return change_label(find_model("digits"), wish, grpc=None, timeout=PATIENCE, say=lambda line: None)


def test_there_and_back_without_a_failed_request(served):
    grpc, rest = served
    with (
        Client(grpc=grpc, retries=0, timeout=PATIENCE) as first,
        Client(rest=rest, retries=0, timeout=PATIENCE) as second,
    ):
        load = [Load(first), Load(second)]
        for one in load:
            one.start()
        try:
            assert all(one.begun.wait(PATIENCE) for one in load)
            move("promote", 2)
            assert first.predict("digits", instances=[1.0], label="stable") == [2.0]
            move("rollback")
            assert second.predict("digits", instances=[1.0], label="stable") == [1.0]
        finally:
            for one in load:
                one.stop()
    for one in load:
        assert one.failures == []
        assert set(one.answers) <= {1.0, 2.0}
        assert one.answers[0] == 1.0


def test_both_protocols_answer_alike(served):
    grpc, rest = served
    rows = [0.1, 1e-7, 3.4e38, -0.0]
    with Client(grpc=grpc, timeout=PATIENCE) as first, Client(rest=rest, timeout=PATIENCE) as second:
        assert first.predict("digits", instances=rows) == second.predict("digits", instances=rows) == rows
        assert first.predict("digits", inputs=rows) == second.predict("digits", inputs=rows)
        assert first.status("digits") == second.status("digits")
        ours, theirs = first.metadata("digits"), second.metadata("digits")
        assert ours["model_spec"]["version"] == theirs["model_spec"]["version"]
        assert ours["metadata"].keys() == theirs["metadata"].keys()
        arrays = first.predict_arrays("digits", {"x": np.array(rows, np.float32)})
        np.testing.assert_array_equal(arrays["y"], np.array(rows, np.float32))


@pytest.mark.parametrize("label", ["no", "a/b"])
def test_both_protocols_refuse_alike(served, label):
    grpc, rest = served
    for address in ({"grpc": grpc}, {"rest": rest}):
        with Client(**address, timeout=PATIENCE) as client, pytest.raises(ServingError) as raised:
            client.predict("digits", instances=[1.0], label=label)
        assert raised.value.code == Code.INVALID_ARGUMENT
        assert label in raised.value.message


def test_a_flipped_byte_is_refused_and_the_old_version_serves_on(served, tmp_path):
    file = tmp_path / "serving" / "digits" / "2" / "saved_model.pb"
    with Client(grpc=served[0], timeout=PATIENCE) as client:
        data = bytearray(file.read_bytes())
        move("promote", 1)
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        with pytest.raises(Exception, match="is not what was pushed"):
            move("promote", 2)
        assert client.predict("digits", instances=[1.0], label="stable") == [1.0]
        assert client.status("digits", 1)[0].state == State.AVAILABLE
