"""The fake server as a process with the official server's flags: ``python -m tests.serving.fake_main --port=…``."""

from __future__ import annotations

import argparse
import signal
from concurrent import futures
from pathlib import Path

import grpc

from penstock.serving.model_config import ModelsFile
from tests.serving.fake_server import FakeServer


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model_config_file", type=Path, required=True)
    flags, _ = parser.parse_known_args()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers([FakeServer(*ModelsFile(flags.model_config_file).read())])
    server.add_insecure_port(f"127.0.0.1:{flags.port}")
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(1).wait()
    print("drained", flush=True)


if __name__ == "__main__":
    main()
