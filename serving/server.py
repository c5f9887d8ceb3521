"""The embedded model server: one process that serves what a ``models.config`` names, over gRPC and REST.

Both protocols share one event loop in one thread: with Python's global lock a second loop would only wait for the
first. ``python -m penstock.serving.server`` takes the command line of ``tensorflow_model_server``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import ArtifactError, ConfigError, PenstockError
from penstock.serving.errors import ServingError
from penstock.serving.listeners import GrpcListener, Listener, RestListener
from penstock.serving.metrics import Metrics
from penstock.serving.model_config import ModelEntry, parse_models
from penstock.serving.server_options import Ports, ServerOptions

if TYPE_CHECKING:
    from penstock.serving.models.manager import ManagerOptions

__all__ = ["Ports", "Server", "ServerOptions", "main", "read_models"]

_LOG = logging.getLogger(__name__)
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

        chosen = manager_options or ManagerOptions()
        self.metrics = Metrics()
        self.ports = Ports(None, None)
        self.manager = ModelManager(chosen, observer=self.metrics)
        self._options = options
        self._models = models
        self._batching = chosen.batching is not None
        self._stopping = threading.Event()
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._grpc: GrpcListener | None = None
        self._rest: RestListener | None = None
        self._threads: list[threading.Thread] = []

    def start(self) -> Ports:
        """Take the ports, load the models, then answer requests, all in threads of its own.

        Threads of this process change places more often from then on (``sys.setswitchinterval``).

        Raises:
            EnvironmentProblem: A port is in use.
            ConfigError: The ``models.config`` cannot be read.
            ArtifactError: A model cannot be served.
        """
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            self._listen()
            self._load()
            for listener in self._listeners():
                self._on_loop(listener.serve())
        except BaseException:
            self.stop()
            raise
        if isinstance(self._models, Path) and self._options.config_poll_seconds > 0:
            self._start_thread(self._poll_config, "config")
        return self.ports

    def wait(self) -> None:
        """Serve until :meth:`stop` is called, or SIGTERM or SIGINT comes; then drain. For the main thread."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self._stopping.wait()
        self.stop()

    def stop(self) -> None:
        """Take no more requests, let those in progress end, unload the models. Safe to call twice."""
        self._stopping.set()
        if self._stopped:
            return
        self._stopped = True
        deadline = time.monotonic() + self._options.drain_seconds
        if self._loop:
            self._on_loop(self._drain())
        # This also ends a reload that still waits for a model, and with it the thread that follows the config.
        self.manager.close(max(0.0, deadline - time.monotonic()))
        if self._loop:
            self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join()
        if self._loop:
            self._loop.close()

    def _listen(self) -> None:
        import uvloop

        self._loop = uvloop.new_event_loop()
        self._start_thread(self._loop.run_forever, "server")
        if self._options.grpc_port is not None:
            self._grpc = GrpcListener(self.manager, self.metrics, self._options, in_threads=self._batching)
        if self._options.rest_port is not None:
            self._rest = RestListener(self.manager, self.metrics, self._options)
        for listener in self._listeners():
            self._on_loop(listener.listen())
        self.ports = Ports(self._grpc.port if self._grpc else None, self._rest.port if self._rest else None)

    def _load(self) -> None:
        entries = read_models(self._models) if isinstance(self._models, Path) else self._models
        try:
            self.manager.reload(entries)
        except ServingError as error:
            where = str(self._models) if isinstance(self._models, Path) else None
            raise ArtifactError(f"the models cannot be served: {error.message}", where=where) from error
        self.manager.start()

    def _poll_config(self) -> None:
        """Follow the file; what is wrong with it is logged, and the models stay as they are."""
        path = Path(str(self._models))
        while not self._stopping.wait(self._options.config_poll_seconds):
            try:
                self.manager.reload(read_models(path))
            except (PenstockError, ServingError) as error:
                _LOG.error("the config is not taken over: %s", error)

    def _listeners(self) -> list[Listener]:
        return [listener for listener in (self._grpc, self._rest) if listener]

    async def _drain(self) -> None:
        await asyncio.gather(*(listener.drain() for listener in self._listeners()))

    def _on_loop(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._loop is not None  # noqa: S101  _listen() made it.
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _on_signal(self, number: int, _frame: object) -> None:
        # The second signal is the default again: who is in a hurry need not wait for the drain.
        signal.signal(number, signal.SIG_DFL)
        _LOG.info("%s: no more requests; those in progress may end", signal.Signals(number).name)
        self._stopping.set()

    def _start_thread(self, target: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()


def read_models(path: Path) -> tuple[ModelEntry, ...]:
    """Read a ``models.config``.

    Raises:
        ConfigError: It cannot be read, or says what no server takes.
    """
    try:
        return parse_models(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the config of the models cannot be read: {error}", where=str(path)) from error
    except ServingError as error:
        raise ConfigError(f"the config of the models is wrong: {error.message}", where=str(path)) from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal comes; return the exit code."""
    from penstock.serving.server_flags import parse_flags

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        command = parse_flags(sys.argv[1:] if arguments is None else arguments)
        server = Server(command.options, command.models, command.manager_options)
        server.start()
    except PenstockError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    server.wait()
    return 0


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # All is drained and closed. The interpreter's own end would stop the threads of TensorFlow and gRPC wherever they
    # are, in C++ too, and then abort instead of returning the code (measured: every other time).
    os._exit(code)
