"""The two doors of a server, gRPC and REST: each takes its port, opens, and closes after those inside have left."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Protocol

from penstock.errors import EnvironmentProblem
from penstock.serving.addresses import address, bound
from penstock.serving.metrics import Metrics
from penstock.serving.server_options import ServerOptions

if TYPE_CHECKING:
    from penstock.serving.models.manager import ModelManager

_LOG = logging.getLogger(__name__)
_BACKLOG = 2048


class Listener(Protocol):
    """One door. Its coroutines run on the server's event loop."""

    port: int

    async def listen(self) -> None:
        """Take the port.

        Raises:
            EnvironmentProblem: It is in use.
        """

    async def serve(self) -> None:
        """Answer requests from now on."""

    async def drain(self) -> None:
        """Take no more requests, and return when those in progress have ended or their time is up."""


class GrpcListener:
    """gRPC.

    Args:
        manager: The models.
        metrics: Counts the requests.
        options: Port and limits.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics, options: ServerOptions) -> None:
        from penstock.serving.grpc_service import GrpcOptions, GrpcServices

        self.port = options.grpc_port or 0
        self._options = options
        self._services = GrpcServices(
            manager,
            metrics,
            GrpcOptions(
                options.threads,
                as_content=options.as_content,
                max_request_bytes=options.max_request_bytes,
            ),
        )
        self._server: Any = None

    async def listen(self) -> None:
        """Take the port."""
        import grpc

        options = self._options
        self._server = grpc.aio.server(
            handlers=self._services.handlers(),
            maximum_concurrent_rpcs=options.max_concurrency,
            options=[
                ("grpc.max_receive_message_length", options.max_request_bytes),
                ("grpc.max_send_message_length", -1),
                # Else two servers take the same port, and each gets half of the requests.
                ("grpc.so_reuseport", 0),
            ],
        )
        # gRPC would say no more than that it failed, and print native lines besides.
        _bound("gRPC", options.host, self.port).close()
        try:
            self.port = self._server.add_insecure_port(address(options.host, self.port))
        except RuntimeError as error:
            raise _cannot_listen("gRPC", options.host, self.port, str(error)) from error

    async def serve(self) -> None:
        """Answer requests from now on."""
        await self._server.start()
        _LOG.info("gRPC at %s", address(self._options.host, self.port))

    async def drain(self) -> None:
        """Let requests in progress end."""
        if self._server:
            await self._server.stop(self._options.drain_seconds)
        self._services.close()


class RestListener:
    """REST.

    Args:
        manager: The models.
        metrics: Counts the requests, and is shown.
        options: Port and limits.
    """

    def __init__(self, manager: ModelManager, metrics: Metrics, options: ServerOptions) -> None:
        import uvicorn

        from penstock.serving.rest.app import RestLimits, make_app
        from penstock.serving.rest.protocol import with_seconds_to_read

        limits = RestLimits(
            options.max_request_bytes,
            options.max_concurrency,
            options.rest_timeout,
            cors=options.cors,
            metrics_path=options.metrics_path,
        )
        config = uvicorn.Config(
            make_app(manager, limits, metrics),
            http=with_seconds_to_read(options.rest_timeout),
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=max(1, round(options.drain_seconds)),
        )
        self.port = options.rest_port or 0
        self._host = options.host
        self._server = uvicorn.Server(config)
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        """Take the port."""
        self._socket = _bound("REST", self._host, self.port)
        self.port = self._socket.getsockname()[1]

    async def serve(self) -> None:
        """Answer requests from now on."""
        assert self._socket is not None  # noqa: S101  listen() made it.
        try:
            # From here on connections queue up, so that whoever is told the port need not try twice.
            self._socket.listen(_BACKLOG)
        except OSError as error:
            raise _cannot_listen("REST", self._host, self.port, error.strerror, error.errno) from error
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        _LOG.info("REST at %s", address(self._host, self.port))

    async def drain(self) -> None:
        """Let requests in progress end."""
        if self._serving:
            self._server.should_exit = True
            await self._serving
        if self._socket:
            self._socket.close()


def _bound(what: str, host: str, port: int) -> socket.socket:
    try:
        return bound(host, port)
    except OSError as error:
        raise _cannot_listen(what, host, port, error.strerror or str(error), error.errno) from error


def _cannot_listen(what: str, host: str, port: int, reason: str | None, code: int | None = None) -> EnvironmentProblem:
    hints = {
        errno.EADDRINUSE: "stop the server that has the port, or choose another one",
        errno.EACCES: "choose a port above 1023: those below are for the administrator",
    }
    return EnvironmentProblem(
        f"{what} cannot listen on {address(host, port)}",
        received=reason,
        hint=hints.get(code or 0, "--host takes an address of this machine, such as 127.0.0.1"),
    )
