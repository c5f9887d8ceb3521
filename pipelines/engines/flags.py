"""The config's ``beam`` block → Beam's command line flags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penstock.pipelines.engines.names import LOOPBACK, SHORT_NAMES, engine_of, is_embedded, needs_job_server


def beam_args(runner: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return Beam's flags for a runner and its options; see :class:`penstock.pipelines.config.BeamConfig`."""
    flags = [f"--runner={SHORT_NAMES.get(runner, runner)}"]
    for key, value in {**_defaults(engine_of(runner), options), **options}.items():
        flags += _flags(key, value)
    return tuple(flags)


def _defaults(engine: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that Penstock gives where the config does not.

    ``direct`` runs in the step's process: Beam's newer local default, Prism, takes longer to start than small data
    takes to process, and several processes were slower too. An engine on this machine has its Python workers there
    as well: they have everything, the code and the libraries.
    """
    if engine == "direct":
        return {"direct_running_mode": "in_memory"}
    if engine is not None and needs_job_server(engine, options) and is_embedded(engine, options):
        return {"environment_type": LOOPBACK}
    return {}


def _flags(key: str, value: Any) -> Iterator[str]:
    if value is True:
        yield f"--{key}"
    elif value is not False:
        yield from (f"--{key}={item}" for item in (value if isinstance(value, tuple) else (value,)))
