"""A gRPC server of models that are Python functions, in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_service_pb2_grpc,
)

from penstock.serving.errors import Code, ServingError
from penstock.serving.listeners import GrpcListener
from penstock.serving.metrics import Metrics
from penstock.serving.models.state import State, VersionStatus
from penstock.serving.server_options import ServerOptions
from tests.serving.inference.fakes import Arrays, FakeModel, definition

Function = Callable[[Arrays], Arrays]


class Models:
    """A manager whose models are Python functions of ``x``."""

    def __init__(self, **functions: Function) -> None:
        self.models = {
            name: FakeModel(definition(["x"], ["y"]), function, version=5) for name, function in functions.items()
        }

    @contextmanager
    def use(self, name: str, *, version: int | None = None, label: str | None = None) -> Iterator[FakeModel]:
        if name not in self.models:
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: Latest({name})")
        yield self.models[name]

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        return [VersionStatus(5, State.AVAILABLE), VersionStatus(4, State.END, Code.DATA_LOSS, "a byte")]


class Running:
    """A listening server and its stubs."""

    def __init__(self, *, options: ServerOptions, **functions: Function) -> None:
        self.metrics = Metrics()
        for name in functions:
            self.metrics.state_changed(name, VersionStatus(5, State.AVAILABLE))
        self._loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._loop.run_forever)
        self.thread.start()
        self.models = Models(**functions)
        manager: Any = self.models
        self._listener = GrpcListener(manager, self.metrics, options)
        self.on_loop(self._listener.listen())
        self.on_loop(self._listener.serve())
        self.channel = grpc.insecure_channel(f"127.0.0.1:{self._listener.port}")
        self.stub = prediction_service_pb2_grpc.PredictionServiceStub(self.channel)

    def on_loop(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.on_loop(self._listener.drain())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self.thread.join()
            self._loop.close()

    def close(self) -> None:
        """Stop, and let go of the channel: not before, or answers that are on their way would be cancelled."""
        self.stop()
        self.channel.close()


def request(model: str = "m") -> predict_pb2.PredictRequest:
    made = predict_pb2.PredictRequest()
    made.model_spec.name = model
    made.inputs["x"].dtype = 1
    made.inputs["x"].float_val.append(2)
    return made


def same(inputs: Arrays) -> Arrays:
    return {"y": inputs["x"]}


def status_of(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error: Any = caught.value
    return error.code(), error.details()


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    try:
        call()
    except grpc.RpcError as error:
        status: Any = error
        return status.code()
    return grpc.StatusCode.OK


class Gate:
    """A function that waits inside the model until it may go on."""

    def __init__(self) -> None:
        self.entered, self.open = threading.Event(), threading.Event()

    def __call__(self, inputs: Arrays) -> Arrays:
        self.entered.set()
        assert self.open.wait(120)
        return same(inputs)


class Noting:
    """A function that notes the threads in which it is called."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self, inputs: Arrays) -> Arrays:
        self.threads.append(threading.current_thread().name)
        return same(inputs)
