"""Where a server listens and what it allows."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.serving.metrics import DEFAULT_PATH


@dataclass(frozen=True)
class ServerOptions:
    """Where a server listens and what it allows.

    Args:
        host: Address to listen on.
        grpc_port: Port of gRPC; 0 takes a free one, None serves no gRPC.
        rest_port: Port of REST; 0 takes a free one, None serves no REST.
        max_request_bytes: Size of the largest request.
        max_concurrency: Requests in progress at the same time, for each protocol; more are refused.
        threads: Requests over gRPC to slow models that are computed at the same time.
        drain_seconds: Seconds that requests in progress have to end when the server stops.
        rest_timeout: Seconds after which a REST request is given up, and again for its answer to be read; gRPC callers
            send a deadline of their own.
        cors: Let scripts of any web page read REST replies.
        metrics_path: Path of the Prometheus metrics on the REST port; None serves none.
        as_content: Send Predict's outputs over gRPC as ``tensor_content`` instead of the typed fields.
        config_poll_seconds: Seconds between two looks at the ``models.config``; 0 looks at it once.
    """

    host: str = "127.0.0.1"
    grpc_port: int | None = 8500
    rest_port: int | None = 8501
    max_request_bytes: int = 64 << 20
    max_concurrency: int = 256
    threads: int = 64
    drain_seconds: float = 30.0
    rest_timeout: float = 30.0
    cors: bool = False
    metrics_path: str | None = DEFAULT_PATH
    as_content: bool = False
    config_poll_seconds: float = 0.0


@dataclass(frozen=True)
class Ports:
    """The ports that a server listens on; None for what it does not serve."""

    grpc: int | None
    rest: int | None
