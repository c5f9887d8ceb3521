"""A REST server in a process of its own, whose one model answers when it is told to.

``python -m tests.serving.rest.slow_main FOLDER`` writes its port, then a line for each call of the model, and each call
reads a line before it answers.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

from penstock.serving.model_config import ModelEntry
from penstock.serving.server import Server, ServerOptions
from tests.serving.rest.fakes import FLOAT, FakeModel, half_plus_two


class Slow(FakeModel):
    """The model."""

    def close(self) -> None:
        """Nothing to free."""


def _answer(inputs: Mapping[str, Any]) -> dict[str, Any]:
    print("called", flush=True)
    sys.stdin.readline()
    return half_plus_two(inputs)


def _load(name: str, version: int, path: Path, **_: Any) -> Slow:
    return Slow(_answer, {"x": FLOAT}, version)


def main() -> None:
    """Serve until a signal comes."""
    folder = Path(sys.argv[1])
    (folder / "1").mkdir()
    with patch("penstock.serving.models.manager.load_servable", _load):
        server = Server(
            ServerOptions(grpc_port=None, rest_port=0, drain_seconds=300, rest_timeout=300),
            (ModelEntry("m", str(folder)),),
        )
    print(server.start().rest, flush=True)
    server.wait()
    print("drained", flush=True)


if __name__ == "__main__":
    main()
