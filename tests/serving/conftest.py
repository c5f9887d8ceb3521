"""Servers in this process. TensorFlow is imported by the tests that ask for one, not by all that lie here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry

if TYPE_CHECKING:
    from penstock.serving.server import Server
    from tests.serving.grpc_running import Function, Running


@pytest.fixture
def without_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that answer what they are asked, and cannot be loaded with a file ``broken`` in their folder."""
    from tests.serving.inference.fakes import FakeModel, definition

    class Loaded(FakeModel):
        def close(self) -> None:
            """Nothing to free."""

    def load(name: str, version: int, path: Path, **_: Any) -> Loaded:
        if (path / "broken").exists():
            raise ServingError(Code.DATA_LOSS, "a byte is another one")
        return Loaded(definition(["x"], ["y"]), lambda inputs: {"y": inputs["x"]}, version)

    monkeypatch.setattr("penstock.serving.models.manager.load_servable", load)


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    (tmp_path / "m" / "1").mkdir(parents=True)
    return ModelEntry("m", str(tmp_path / "m"))


@pytest.fixture
def make() -> Iterator[Callable[..., Server]]:
    """A function that makes a server, which ends with the test."""
    from penstock.serving.models.manager import ManagerOptions
    from penstock.serving.server import Server, ServerOptions

    made: list[Server] = []
    manager = ManagerOptions(poll_seconds=0.02, load_retries=0, retry_seconds=0)

    def one(models: Any, **options: Any) -> Server:
        made.append(Server(ServerOptions(**{"grpc_port": 0, "rest_port": 0, **options}), models, manager))
        return made[-1]

    yield one
    for server in made:
        server.stop()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """A function that makes a gRPC server of Python functions, which ends with the test."""
    from penstock.serving.server_options import ServerOptions
    from tests.serving.grpc_running import Running

    started: list[Running] = []

    def start(*, max_concurrency: int = 8, threads: int = 4, **functions: Function) -> Running:
        options = ServerOptions(grpc_port=0, max_concurrency=max_concurrency, threads=threads, drain_seconds=120)
        started.append(Running(options=options, **functions))
        return started[-1]

    yield start
    for server in started:
        server.close()
