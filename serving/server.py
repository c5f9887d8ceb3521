"""The embedded model server: one process that serves what a ``models.config`` names, over gRPC and REST.

Both protocols share one event loop in one thread: with Python's global lock a second loop would only wait for the
first. ``python -m penstock.serving.server`` takes the command line of ``tensorflow_model_server``.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from penstock.errors import ArtifactError, PenstockError
from penstock.serving.errors import ServingError
from penstock.serving.listeners import GrpcListener, Listener, RestListener
from penstock.serving.metrics import Metrics
from penstock.serving.model_config import ModelEntry
from penstock.serving.server_config import follow, read_models
from penstock.serving.server_options import Ports, ServerOptions

if TYPE_CHECKING:
    from penstock.serving.models.manager import ManagerOptions
    from penstock.serving.models.watch import Watch

__all__ = ["Ports", "Server", "ServerOptions", "main"]

_LOG = logging.getLogger(__name__)
_GRACE_SECONDS = 5.0
"""Seconds that what should end at once may take to do so."""
_SWITCH_SECONDS = 0.0005
"""A thread that computes gives the global lock back to the event loop this soon; Python's own 5 ms would be the p99."""


class Server:
    """Models, gRPC and REST in one.

    Args:
        options: Where to listen and what to allow.
        models: The models to serve, or the path of the ``models.config`` that names them.
        manager_options: How models are loaded, watched and replaced.

    Attributes:
        manager: The models.
        metrics: The counters.
        ports: Where it listens, once it has started.
    """

    def __init__(
        self, options: ServerOptions, models: Path | Sequence[ModelEntry], manager_options: ManagerOptions | None = None
    ) -> None:
        from penstock.serving.models.manager import ManagerOptions, ModelManager

        self.metrics = Metrics()
        self.ports = Ports(None, None)
        self.manager = ModelManager(manager_options or ManagerOptions(), observer=self.metrics)
        self._options = options
        self._models = models
        self._stopping = threading.Event()
        # The number of a signal, or None. A signal's handler may find any lock held by the very thread that it
        # interrupts; of all that threads can wait for, this queue alone is made for that.
        self._told_to_stop: SimpleQueue[int | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._grpc: GrpcListener | None = None
        self._rest: RestListener | None = None
        self._thread: threading.Thread | None = None
        self._config: Watch | None = None

    def start(self, before_models: Callable[[], object] | None = None) -> Ports:
        """Take the ports, load the models, then answer requests, all in threads of its own.

        Threads of this process change places more often from then on (``sys.setswitchinterval``).

        Args:
            before_models: Called when the ports are taken and the config is read, before the first model is loaded.

        Raises:
            EnvironmentProblem: A port is in use.
            ConfigError: The ``models.config`` cannot be read.
            ArtifactError: A model cannot be served.
        """
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            self._listen()
            self._load(before_models)
            for listener in self._listeners():
                self._on_loop(listener.serve())
        except BaseException:
            self.stop()
            raise
        self._follow_config()
        return self.ports

    def wait(self) -> None:
        """Serve until :meth:`stop` is called, or SIGTERM or SIGINT comes; then drain. For the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        told = self._told_to_stop.get()
        if told is not None:
            _LOG.info("%s: no more requests; those in progress may end", signal.Signals(told).name)
        self.stop()

    def stop(self) -> None:
        """Take no more requests, let those in progress end, unload the models. Safe to call twice."""
        self._told_to_stop.put(None)
        if self._stopping.is_set():
            return
        self._stopping.set()
        deadline = time.monotonic() + self._options.drain_seconds
        # First, because a reload waits for its models without a limit of its own, and the drain would wait for it.
        self.manager.end_waits()
        try:
            self._end_requests(deadline)
        finally:
            self.manager.close(_left(deadline))
            if self._config and not self._config.join(_left(deadline)):
                _LOG.warning("the config file has not been read to its end; a thread is left behind")
            self._end_loop()

    def _listen(self) -> None:
        import uvloop

        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="server", daemon=True)
        self._thread.start()
        if self._options.grpc_port is not None:
            self._grpc = GrpcListener(self.manager, self.metrics, self._options)
        if self._options.rest_port is not None:
            self._rest = RestListener(self.manager, self.metrics, self._options)
        for listener in self._listeners():
            self._on_loop(listener.listen())
        self.ports = Ports(self._grpc.port if self._grpc else None, self._rest.port if self._rest else None)

    def _load(self, before_models: Callable[[], object] | None) -> None:
        entries = read_models(self._models) if isinstance(self._models, Path) else self._models
        if before_models is not None:
            before_models()
        self.manager.start()
        try:
            self.manager.reload(entries)
        except ServingError as error:
            where = str(self._models) if isinstance(self._models, Path) else None
            raise ArtifactError(f"the models cannot be served: {error.message}", where=where) from error

    def _follow_config(self) -> None:
        from penstock.serving.models.watch import Watch

        path, seconds = self._models, self._options.config_poll_seconds
        if isinstance(path, Path) and seconds > 0:
            look = partial(follow, self.manager, path)
            self._config = Watch("config", "the config is not taken over", look, seconds, self._stopping)
            self._config.start()

    def _listeners(self) -> list[Listener]:
        return [listener for listener in (self._grpc, self._rest) if listener]

    async def _drain(self) -> None:
        await asyncio.gather(*(listener.drain() for listener in self._listeners()))

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None  # noqa: S101  _listen() made it.
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_requests(self, deadline: float) -> None:
        if self._loop:
            drained = asyncio.run_coroutine_threadsafe(self._drain(), self._loop)
            try:
                # A model that hangs may hold the event loop itself, which then ends nothing.
                drained.result(_left(deadline) + _GRACE_SECONDS)
            except TimeoutError:
                _LOG.warning("requests have not ended in time; they are left behind")

    def _end_loop(self) -> None:
        if self._loop and self._thread:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_GRACE_SECONDS)
            if not self._thread.is_alive():
                self._loop.close()

    def _on_signal(self, number: int, _frame: object) -> None:
        # The second signal is the default again: who is in a hurry need not wait for the drain.
        signal.signal(number, signal.SIG_DFL)
        self._told_to_stop.put(number)


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code."""
    from penstock.serving.server_flags import parse_flags

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        command = parse_flags(sys.argv[1:] if arguments is None else arguments)
        server = Server(command.options, command.models, command.manager_options)
        server.start(_freeze_modules)
        server.wait()
    except PenstockError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted before the models were served", file=sys.stderr)
        return 128 + signal.SIGINT
    return 0


def _freeze_modules() -> None:
    """Take what is imported out of the garbage collector's sight, before there are models, which may go again.

    A full collection would look at half a million objects of TensorFlow's modules while all requests wait.
    """
    import tensorflow as tf  # noqa: F401

    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is drained and closed. The interpreter's own end would stop the threads of TensorFlow and gRPC wherever they
    # are, in C++ too, and then abort instead of returning the code (measured: every other time).
    os._exit(code)
