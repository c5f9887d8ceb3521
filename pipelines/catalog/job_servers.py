"""Options that a job server takes beyond those of Beam's Python SDK, where ``beam.json`` does not have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache


@cache
def job_server_options(engine: str) -> Mapping[str, None]:
    """Return their names; ``engine`` is a runner's short name."""
    return dict.fromkeys(_FLINK) if engine == "flink" else {}


_FLINK: tuple[str, ...] = ()
