"""A project with a pushed model, and a server that a test makes do what it wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.running import describe_process, record_server
from tests.pipelines.models.pushed import configure, push
from tests.serving.fake_server import FakeServer


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The base path of model ``digits``: versions 1 and 2, both asked for, ``stable`` on 1."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "serving" / "digits"
    push(folder, 1, 2)
    configure(folder, 1, 2, stable=1)
    return folder


@pytest.fixture
def config(base: Path) -> Path:
    return base.parent / "models.config"


@pytest.fixture
def server(config: Path) -> FakeServer:
    return FakeServer(*ModelsFile(config).read())


@pytest.fixture
def running(server: FakeServer, config: Path) -> Iterator[Callable[..., str]]:
    """Start the server and record it beside its configs, as ``penstock serve`` does; give its address."""
    with ExitStack() as stack:

        def start(*configs: Path, plain: Sequence[ModelEntry] = ()) -> str:
            grpc = stack.enter_context(server.running())
            rest = "http://127.0.0.1:1"
            record_server(describe_process(os.getpid(), "embedded", grpc, rest, configs or [config], plain))
            return grpc

        yield start
