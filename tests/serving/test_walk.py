"""Versions come and go under steady load, and nobody who asks gets anything but an answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.gate import GateReport, ask
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.errors import PenstockError
from penstock.pipelines.models.change import Wish, change_label
from penstock.pipelines.models.find import Model, find_model
from penstock.serving.client import Client
from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelsFile
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.running import describe_process, record_server
from penstock.serving.server import Server, ServerOptions

NAME = "times"
ANSWERS = 20
"""How many more answers of a version each caller must get before a test goes on."""
LONGEST = 120.0
"""Seconds, so that a server that hangs fails the test instead of holding it up."""


class Callers:
    """Threads that ask without a pause, over both protocols and without retries; all outcomes are kept.

    Args:
        clients: One for each thread.
        label: What they ask for; None: the newest version.
    """

    def __init__(self, clients: Sequence[Client], label: str | None) -> None:
        self.outcomes: list[list[Any]] = [[] for _ in clients]
        self._label = label
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=(client, outcomes))
            for client, outcomes in zip(clients, self.outcomes, strict=True)
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, version: int) -> None:
        """Return when each has had some more answers, the last ones of ``version``."""
        with self._changed:
            before = [len(outcomes) for outcomes in self.outcomes]

            def reached() -> bool:
                return bool(self.failures) or all(
                    len(outcomes) >= start + ANSWERS and set(outcomes[-ANSWERS:]) == {version}
                    for outcomes, start in zip(self.outcomes, before, strict=True)
                )

            assert self._changed.wait_for(reached, LONGEST), [outcomes[-ANSWERS:] for outcomes in self.outcomes]
        assert self.failures == []

    @property
    def failures(self) -> list[str]:
        return [outcome for outcomes in self.outcomes for outcome in outcomes[-1:] if isinstance(outcome, str)]

    @property
    def seen(self) -> set[tuple[Any, ...]]:
        """The sequences of versions that the callers saw."""
        return {tuple(version for version, _ in groupby(outcomes)) for outcomes in self.outcomes}

    def _ask(self, client: Client, outcomes: list[Any]) -> None:
        outcome: Any = None
        # A caller ends with its first failure: one is enough, and it stays the last outcome.
        while not self._stopping.is_set() and not isinstance(outcome, str):
            try:
                (outcome,) = client.predict(NAME, instances=[1.0], label=self._label)
            except (ServingError, PenstockError) as error:
                outcome = f"{type(error).__name__}: {error}"
            with self._changed:
                outcomes.append(outcome)
                self._changed.notify_all()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three SavedModels; the first answers x, the second 2 x, the third 3 x."""
    folder = tmp_path_factory.mktemp("models")
    return [saved(folder / str(factor), float(factor)) for factor in (1, 2, 3)]


def saved(folder: Path, factor: float) -> Path:
    import tensorflow as tf

    module = tf.Module()
    module.factor = tf.Variable(factor)
    specs = [tf.TensorSpec([None], tf.float32, name="x")]
    module.answer = tf.function(lambda x: {"y": x * module.factor}, input_signature=specs)
    tf.saved_model.save(module, str(folder), signatures=module.answer)
    return folder


def pushed(model: Path, base: Path, **options: Any) -> PushResult:
    config = PusherConfig.model_validate({"destination": {"directory": str(base)}, "model_name": NAME, **options})
    return push(PushRequest(model, config))


@contextmanager
def serving(config: Path, label: str | None) -> Iterator[Callers]:
    """Serve a ``models.config``, known to pushes and promotions as ``penstock serve`` would be, to callers at work."""
    options = ManagerOptions(poll_seconds=0.05, allow_labels_for_unavailable=True)
    server = Server(ServerOptions(grpc_port=0, rest_port=0, rest_timeout=LONGEST), config, options)
    with ExitStack() as stack:
        ports = server.start()
        stack.callback(server.stop)
        grpc, rest = f"127.0.0.1:{ports.grpc}", f"http://127.0.0.1:{ports.rest}"
        record_server(describe_process(os.getpid(), "embedded", grpc, rest, [config]))
        clients = [
            *(stack.enter_context(Client(grpc=grpc, retries=0, timeout=LONGEST)) for _ in range(2)),
            *(stack.enter_context(Client(rest=rest, retries=0, timeout=LONGEST)) for _ in range(2)),
        ]
        callers = Callers(clients, label)
        callers.start()
        stack.callback(callers.stop)
        yield callers


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)

    def gate_in_this_process(model: Path, timeout: float) -> GateReport:
        return ask(model)

    monkeypatch.setattr("penstock.components.pusher.push.pass_gate", gate_in_this_process)
    return tmp_path / "serving" / NAME


def known(base: Path) -> Model:
    return find_model(NAME, [base.parent / "models.config"])


def moved(base: Path, wish: Wish) -> tuple[int | None, int]:
    done = change_label(known(base), wish, grpc=None, timeout=LONGEST, say=lambda _: None)
    assert done.moved.served
    assert done.moved.problem is None
    return done.moved.before, done.moved.after


def test_push_promotion_and_rollback_fail_no_request(models, base):
    assert pushed(models[0], base, labels={"stable": "this"}).version == 1
    with serving(base.parent / "models.config", "stable") as callers:
        callers.wait_for(1)
        assert pushed(models[1], base, labels={"stable": "keep", "canary": "this"}).labels == {"canary": 2, "stable": 1}
        callers.wait_for(1)
        assert moved(base, Wish("promote", "stable", 2)) == (1, 2)
        callers.wait_for(2)
        assert moved(base, Wish("rollback", "stable", None)) == (2, 1)
        callers.wait_for(1)
    assert callers.failures == []
    assert callers.seen == {(1, 2, 1)}
    (entry,) = ModelsFile(base.parent / "models.config").read()
    assert dict(entry.labels) == {"canary": 2, "stable": 1}


def test_a_client_that_names_no_label_follows_the_one_label(models, base):
    """The walk of the book chapter: v1, then v2 at once, then v1 again after the rollback."""
    assert pushed(models[0], base, labels={"stable": "this"}).labels == {"stable": 1}
    with serving(base.parent / "models.config", None) as callers:
        callers.wait_for(1)
        assert pushed(models[1], base, labels={"stable": "this"}).labels == {"stable": 2}
        callers.wait_for(2)
        assert moved(base, Wish("rollback", "stable", None)) == (2, 1)
        callers.wait_for(1)
    assert callers.failures == []
    assert callers.seen == {(1, 2, 1)}


def test_the_newest_version_takes_over_without_a_failed_request(models, base):
    assert pushed(models[0], base).version == 1
    with serving(base.parent / "models.config", None) as callers:
        callers.wait_for(1)
        for version in (2, 3):
            assert pushed(models[version - 1], base, wait_until_available="2m").version == version
            callers.wait_for(version)
    assert callers.failures == []
    assert callers.seen == {(1, 2, 3)}
