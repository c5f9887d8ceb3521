"""What ``penstock infer`` needs for its runner: a job server, a package for the workers, credentials."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.closest import did_you_mean
from penstock.errors import ConfigError

LOG = Path(".penstock/job-server.log")


def require_known(runner: str, options: Mapping[str, Any]) -> None:
    """Refuse a runner or an option that Beam does not know, and what Dataflow cannot do without.

    Raises:
        ConfigError: The first that is wrong.
    """
    from penstock.pipelines.catalog.beam import beam_options, beam_runners
    from penstock.pipelines.catalog.job_servers import job_server_options
    from penstock.pipelines.engines.names import DATAFLOW_NEEDS, SHORT_NAMES, engine_of, is_known, ships_code

    if not is_known(runner):
        raise ConfigError(
            f"Beam has no runner '{runner}'",
            where="--runner",
            expected=f"one of {', '.join(SHORT_NAMES)}, or another of Beam's",
            hint=did_you_mean(runner, (*SHORT_NAMES, *beam_runners())),
        )
    engine = engine_of(runner)
    known = {**beam_options(), **job_server_options(engine)} if engine else options
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigError(f"Beam has no option '{name}'", where="--beam", expected="a flag of Beam", hint=hint)
    if engine == "dataflow":
        for name, what in DATAFLOW_NEEDS.items():
            if not options.get(name):
                raise ConfigError(f"Dataflow needs {name}", where="--beam", expected=f"--beam {name}=…, {what}")
        if not ships_code(options):
            raise ConfigError(
                "Dataflow's workers would not have Penstock's code",
                where="--beam",
                expected="--beam sdk_container_image=IMAGE, or --beam setup_file=auto",
            )


@contextmanager
def engine_for(args: Sequence[str]) -> Iterator[list[str]]:
    """Start what the runner in Beam's flags needs, and yield the flags to use.

    Raises:
        EnvironmentProblem: No Java, no jar, no cluster, no credentials, or the job server does not start.
    """
    from penstock.pipelines.config import BeamConfig
    from penstock.pipelines.engines.start import Demand, started

    pairs = [flag.removeprefix("--").partition("=") for flag in args]
    options: dict[str, Any] = {name: value if equals else True for name, equals, value in pairs}
    demand = Demand(BeamConfig(runner=options.pop("runner", "direct"), options=options), tuple(args))
    with started(demand, LOG, lambda function, *arguments: function(*arguments)) as engine:
        yield [*demand.flags, *engine.flags]
