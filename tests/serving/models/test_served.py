"""Real models in a running server: requests of many callers in one batch, and twenty versions one after the other."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from penstock.serving.batching_config import BatchingOptions
from penstock.serving.client import Client
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.server import Server, ServerOptions
from tests.serving.models.fakes import PATIENCE, wait_for

CALLERS = 8
FOREVER = 600_000_000
"""Microseconds; a batch that is to run before must be full."""
Start = Callable[..., Server]


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts a server on a base path."""
    with ExitStack() as stack:

        def start_server(base: Path, **options: Any) -> Server:
            manager = ManagerOptions(poll_seconds=0.02, load_retries=0, **options)
            server = Server(
                ServerOptions(grpc_port=0, rest_port=0, rest_timeout=PATIENCE), [ModelEntry("m", str(base))], manager
            )
            stack.callback(server.stop)
            server.start()
            return server

        yield start_server


def _clients(server: Server, stack: ExitStack) -> list[Client]:
    """Return callers, of both protocols by turns."""
    made = [
        Client(grpc=f"127.0.0.1:{server.ports.grpc}", retries=0, timeout=PATIENCE)
        if caller % 2
        else Client(rest=f"http://127.0.0.1:{server.ports.rest}", retries=0, timeout=PATIENCE)
        for caller in range(CALLERS)
    ]
    return [stack.enter_context(client) for client in made]


def _ask_at_once(server: Server, requests: list[Any]) -> list[Any]:
    """Send every request through a caller of its own, all at once; return the answers in their order."""
    with ExitStack() as stack, ThreadPoolExecutor(CALLERS) as threads:
        clients = _clients(server, stack)
        answers = [
            threads.submit(client.predict, "m", instances=rows) for client, rows in zip(clients, requests, strict=True)
        ]
        return [answer.result(PATIENCE) for answer in answers]


def test_callers_of_both_protocols_share_a_batch_and_get_the_answers_that_they_get_alone(start: Start, model: Path):
    requests = [[[float(caller), 1.5], [0.25, float(caller)]] for caller in range(CALLERS)]
    full = BatchingOptions(2 * CALLERS, FOREVER, num_batch_threads=1)
    together = _ask_at_once(start(model.parent, batching=full), requests)
    alone = _ask_at_once(start(model.parent), requests)
    assert [[row["y"] for row in rows] for rows in together] == [[row["y"] for row in rows] for rows in alone]
    # The model itself says how many rows it was given.
    assert {row["rows"] for rows in alone for row in rows} == {2}
    assert {row["rows"] for rows in together for row in rows} == {2 * CALLERS}


def test_a_request_that_waits_for_others_keeps_the_server_free_for_the_rest(start: Start, model: Path):
    server = start(model.parent, batching=BatchingOptions(CALLERS, FOREVER, num_batch_threads=1))
    with ExitStack() as stack, ThreadPoolExecutor(CALLERS) as threads:
        clients = _clients(server, stack)
        waiting = [threads.submit(client.predict, "m", instances=[[1.0, 1.0]]) for client in clients[1:]]
        assert clients[0].status("m")[0].version == 1
        assert clients[0].metadata("m")["model_spec"]["version"] == "1"
        assert clients[0].predict("m", instances=[[1.0, 1.0]])[0]["rows"] == CALLERS
        assert [answer.result(PATIENCE)[0]["rows"] for answer in waiting] == [CALLERS] * (CALLERS - 1)


def test_models_that_bring_no_parameters_are_not_batched_where_each_brings_its_own(start: Start, model: Path):
    shutil.copytree(model, model.parent / "2")
    (model.parent / "2" / "batching_params.pbtxt").write_text(
        f"max_batch_size {{ value: {CALLERS} }} batch_timeout_micros {{ value: {FOREVER} }}"
    )
    server = start(model.parent, batching=BatchingOptions(4, FOREVER), per_model_batching=True)
    assert {row["rows"] for rows in _ask_at_once(server, [[[1.0, 1.0]]] * CALLERS) for row in rows} == {CALLERS}
    server.manager.reload([ModelEntry("m", str(model.parent), policy=VersionPolicy("specific", versions=(1,)))])
    wait_for(server.manager, "m", v2="END", v1="AVAILABLE")
    assert {row["rows"] for rows in _ask_at_once(server, [[[1.0, 1.0]]] * CALLERS) for row in rows} == {1}


class Load(threading.Thread):
    """Asks for the label, or for the newest version, again and again."""

    def __init__(self, client: Client, label: str | None) -> None:
        super().__init__()
        self._client = client
        self._label = label
        self._enough = threading.Event()
        self.answers: list[Any] = []
        self.failures: list[Exception] = []

    def run(self) -> None:
        while not self._enough.is_set():
            try:
                self.answers.append(self._client.predict("m", instances=[[1.0, 1.0]], label=self._label))
            except Exception as error:  # noqa: BLE001  Whatever fails is what the test is about.
                self.failures.append(error)

    def stop(self) -> None:
        self._enough.set()
        self.join()


def test_no_request_fails_while_twenty_versions_replace_each_other(start: Start, model: Path):
    base, swaps = model.parent, 20
    server = start(base)

    def serve(*versions: int, stable: int) -> None:
        policy = VersionPolicy("specific", versions=versions)
        server.manager.reload([ModelEntry("m", str(base), policy=policy, labels={"stable": stable})])

    serve(1, stable=1)
    with ExitStack() as stack:
        clients = _clients(server, stack)[:4]
        load = [Load(client, label) for client, label in zip(clients, ("stable", "stable", None, None), strict=True)]
        for one in load:
            one.start()
            stack.callback(one.stop)
        for old in range(1, 1 + swaps):
            staged = shutil.copytree(model, base / f"staged-{old + 1}")
            staged.rename(base / str(old + 1))
            serve(old, old + 1, stable=old)
            wait_for(server.manager, "m", **{f"v{old + 1}": "AVAILABLE"})
            serve(old + 1, stable=old + 1)
            wait_for(server.manager, "m", **{f"v{old}": "END"})
    assert [one.failures for one in load] == [[], [], [], []]
    for one in load:
        assert one.answers
        assert all(answer == [{"y": [3.0], "rows": 1}] for answer in one.answers)
