"""Calls of models for gRPC: on the event loop where they are fast, else in a thread.

Measured with a native client on two cores: handing a call to another thread and back costs more than a small model
takes to answer. So a call that has been fast is made on the event loop itself; a slow one, a large one and any through
a batch scheduler goes to a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.model import Model
from penstock.serving.inference.pace import Kind, Pace
from penstock.serving.inference.predict import DEFAULT_SIGNATURE
from penstock.serving.inference.size import check_expanded
from penstock.serving.metrics import Metrics, Timed

if TYPE_CHECKING:
    from penstock.serving.models.manager import ModelManager

_LARGE_BYTES = 1 << 16


@dataclass(frozen=True)
class Api:
    """A method that asks a model.

    Args:
        name: Its name.
        answer: Version and request → response.
        unsent: Bytes that a request stands for beyond its own.
        may_be_fast: Whether a call runs one signature, so that one call tells how long the next one will take.
    """

    name: str
    answer: Callable[[Model, Any], Any]
    unsent: Callable[[Any], int]
    may_be_fast: bool = True


@dataclass(frozen=True)
class GrpcOptions:
    """How the gRPC services answer.

    Args:
        threads: Calls that are slow, large or wait for others to batch with, made at the same time.
        as_content: Send outputs as ``tensor_content`` instead of the typed fields, which is faster for large ones.
        max_request_bytes: Size of the largest request, counted with all that its tensors and records stand for. How
            large a message may be, the server is told.
    """

    threads: int = 64
    as_content: bool = False
    max_request_bytes: int = 64 << 20


class Threads:
    """Threads for what one event loop does not do itself.

    Args:
        count: How many.
        name: What their names begin with.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)
        self._free = asyncio.Semaphore(count)

    async def run(self, work: Callable[[], Any]) -> Any:
        """Return what ``work`` returns in the next thread that is free."""
        # Work that waits here and is given up is gone at once. In the queue of the pool it would stay, with all that it
        # holds, until a thread is free.
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        future = self._pool.submit(work)
        # What is given up while it runs keeps its thread, and so its place, until it is done.
        future.add_done_callback(lambda _: _call_soon(loop, self._free.release))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Let go of the threads; what they work on is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Calls:
    """Makes the calls of one server; its coroutines are for one event loop.

    Args:
        manager: Has the models.
        metrics: Gets the time that the models take.
        options: How to call them.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics, options: GrpcOptions) -> None:
        self._manager = manager
        self._metrics = metrics
        self._options = options
        self._threads = Threads(options.threads, "grpc")
        self._pace = Pace()

    async def answer(self, api: Api, spec: Any, request: Any, context: Any) -> Any:
        """Return a model's response.

        Args:
            api: What is asked of it.
            spec: The ``ModelSpec`` that names the model.
            request: The request.
            context: Of the gRPC call: says how much time is left.

        Raises:
            ServingError: The request is too large, there is no such model, or it cannot answer.
        """
        size = check_expanded(request.ByteSize(), api.unsent(request), self._options.max_request_bytes)
        if api.may_be_fast and size < _LARGE_BYTES:
            with use(self._manager, spec) as model:
                kind = _kind(api, model, spec)
                if kind.signature not in model.batched and self._pace.is_fast(kind):
                    return self._run(api, model, kind, request, context)
        return await self._threads.run(partial(self._work, api, spec, request, context))

    def close(self) -> None:
        """Make no more calls; those in progress are not waited for."""
        self._threads.close()

    def _work(self, api: Api, spec: Any, request: Any, context: Any) -> Any:
        with use(self._manager, spec) as model:
            return self._run(api, model, _kind(api, model, spec), request, context)

    def _run(self, api: Api, model: Model, kind: Kind, request: Any, context: Any) -> Any:
        if context.time_remaining() == 0:
            # Nobody is there to take the answer.
            raise ServingError(Code.DEADLINE_EXCEEDED, "Deadline exceeded before the request was run")
        start = perf_counter()
        timed = Timed(model)
        try:
            return api.answer(timed, request)
        finally:
            if timed.seconds:
                self._pace.record(kind, perf_counter() - start)
                self._metrics.runtime(kind.model, kind.api, timed.seconds)


def use(manager: ModelManager, spec: Any) -> Any:
    """Return the context in which the version that a ``ModelSpec`` chooses may be used.

    Raises:
        ServingError: It has no name, or there is no such version.
    """
    if not spec.name:
        raise ServingError(Code.INVALID_ARGUMENT, "ModelSpec has no name specified.")
    choice = spec.WhichOneof("version_choice")
    if choice == "version":
        return manager.use(spec.name, version=spec.version.value)
    if choice == "version_label":
        return manager.use(spec.name, label=spec.version_label)
    return manager.use(spec.name)


def _kind(api: Api, model: Model, spec: Any) -> Kind:
    return Kind(model.name, model.version, spec.signature_name or DEFAULT_SIGNATURE, api.name)


def _call_soon(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    # A call that outlived the drain may outlive the loop.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call)
