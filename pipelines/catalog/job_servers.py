"""Options that a job server takes beyond those of Beam's Python SDK."""

from __future__ import annotations

from collections.abc import Mapping


def job_server_options(engine: str) -> Mapping[str, None]:
    """TEMP."""
    return {}
