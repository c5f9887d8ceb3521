"""Names of engines, and the options of theirs that Penstock looks at. No Beam here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.pipelines.catalog.beam import beam_runners

SHORT_NAMES = {
    "direct": "FnApiRunner",
    "dataflow": "DataflowRunner",
    "flink": "FlinkRunner",
    "spark": "SparkRunner",
    "prism": "PrismRunner",
    "portable": "PortableRunner",
}
"""What a config calls a runner → Beam's class. Beam's own DirectRunner would try Prism first, which it downloads."""

AUTO = "auto"
"""As ``setup_file``: Penstock writes one, for its own code and the project's."""

JOB_ENDPOINT = "PENSTOCK_JOB_ENDPOINT"
"""Environment of a step: where the run's job server listens, ``host:port``."""

SETUP_FILE = "PENSTOCK_SETUP_FILE"
"""Environment of a step: the setup file that Penstock wrote."""

LOOPBACK = "LOOPBACK"
"""Workers are threads of the process that submits the job."""

_MASTERS = {"flink": ("flink_master", "[local]"), "spark": ("spark_master_url", "local[*]")}
_UBER_JAR = {"flink": "flink_submit_uber_jar", "spark": "spark_submit_uber_jar"}
_JAR = {"flink": "flink_job_server_jar", "spark": "spark_job_server_jar"}


def engine_of(runner: str) -> str | None:
    """Return the short name of a runner, however Beam lets it be written; None for one that has none."""
    folded = runner.casefold()
    for short, name in SHORT_NAMES.items():
        if folded in (short, f"{short}runner", name.casefold()) or runner.endswith(f".{name}"):
            return short
    return None


def is_known(runner: str) -> bool:
    """Return whether Beam finds the runner by this name; a dotted path is the user's own class, or Beam's."""
    names = {name.casefold() for name in beam_runners()}
    folded = runner.casefold()
    return "." in runner or engine_of(runner) is not None or folded in names or f"{folded}runner" in names


def master(engine: str, options: Mapping[str, Any]) -> str:
    """Return the address of the cluster of ``flink`` or ``spark``; what an engine inside the job server is called."""
    option, default = _MASTERS[engine]
    return str(options.get(option, default))


def is_embedded(engine: str, options: Mapping[str, Any]) -> bool:
    """Return whether the engine runs inside the job server, on this machine."""
    address = master(engine, options)
    return address in ("[local]", "[auto]") or address.split("[")[0] == "local"


def needs_job_server(engine: str | None, options: Mapping[str, Any]) -> bool:
    """Return whether Penstock starts the job server: for Flink and Spark, unless the options name another way."""
    if engine not in _MASTERS:
        return False
    return not options.get("job_endpoint") and not options.get(_UBER_JAR[engine])


def jar_option(engine: str) -> str:
    """Return Beam's option for the job server's jar of ``flink`` or ``spark``."""
    return _JAR[engine]


def master_option(engine: str) -> str:
    """Return Beam's option for the cluster's address of ``flink`` or ``spark``."""
    return _MASTERS[engine][0]


DATAFLOW_NEEDS = {
    "project": "the id of a Google Cloud project",
    "region": "where the workers are, such as europe-west4",
    "temp_location": "where Dataflow keeps what it needs for a while, such as gs://bucket/temp",
}
"""Options that Dataflow cannot do without, and what they are."""

_CODE = ("sdk_container_image", "worker_harness_container_image", "setup_file", "extra_package", "extra_packages")


def ships_code(options: Mapping[str, Any]) -> bool:
    """Return whether workers elsewhere get Penstock's code and the user's."""
    return any(options.get(name) for name in _CODE)
