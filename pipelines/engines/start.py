"""What a run needs before its first Beam step starts: a job server, a package for the workers, credentials."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penstock.errors import EnvironmentProblem
from penstock.pipelines.config import BeamConfig
from penstock.pipelines.engines import commands, java, job_server, package
from penstock.pipelines.engines.credentials import require_credentials
from penstock.pipelines.engines.job_server import JobServer
from penstock.pipelines.engines.names import (
    AUTO,
    JOB_ENDPOINT,
    SETUP_FILE,
    engine_of,
    is_embedded,
    master,
    needs_job_server,
)
from penstock.pipelines.graph import Graph

Call = Callable[..., Any]
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True)
class Demand:
    """What Beam work asks for.

    Attributes:
        beam: What was said about Beam.
        args: Beam's flags.
        project: The folder that user modules and paths are relative to.
        functions: Import paths of the user's functions that workers call.
    """

    beam: BeamConfig
    args: tuple[str, ...]
    project: Path = field(default_factory=Path.cwd)
    functions: tuple[str, ...] = ()

    @classmethod
    def of(cls, graph: Graph, steps: Collection[str]) -> Demand | None:
        """Return what some steps of a graph ask for, None when none of them runs on Beam."""
        if not any(graph.steps[name].type.beam for name in steps):
            return None
        functions = tuple(function for step in graph.steps.values() for function in step.functions)
        return cls(graph.beam, graph.beam_args, graph.project, functions)

    @property
    def flags(self) -> list[str]:
        """Beam's flags, without what only Penstock understands."""
        return [flag for flag in self.args if flag != f"--setup_file={AUTO}"]


@dataclass(frozen=True)
class Engine:
    """An engine that takes jobs.

    Attributes:
        environment: Variables that a step must have.
        server: The job server that was started for the run, None where there is none.
    """

    environment: dict[str, str] = field(default_factory=dict)
    server: JobServer | None = None

    def require_running(self) -> None:
        """Do nothing while its job server runs, or where there is none.

        Raises:
            EnvironmentProblem: The job server has ended.
        """
        if self.server is not None:
            self.server.require_running()

    @property
    def flags(self) -> list[str]:
        """The environment as flags of Beam, for a pipeline that is built in this process."""
        names = {JOB_ENDPOINT: "job_endpoint", SETUP_FILE: "setup_file"}
        return [f"--{names[key]}={value}" for key, value in self.environment.items()]


@contextmanager
def started(demand: Demand | None, log: Path, call: Call) -> Iterator[Engine]:
    """Start what is asked for, for as long as the block lasts.

    Args:
        demand: What is asked for; None for nothing.
        log: Where a job server's output goes.
        call: Calls a function with its arguments where Beam may be imported.

    Raises:
        EnvironmentProblem: No Java, no jar, no cluster, no credentials, or the job server does not start.
    """
    engine = engine_of(demand.beam.runner) if demand is not None else None
    if demand is None or engine is None:
        yield Engine()
        return
    options = demand.beam.options
    if engine == "dataflow" and not options.get("no_auth"):
        call(require_credentials)
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        server = None
        if options.get("setup_file") == AUTO:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="penstock-package-")))
            has_image = options.get("sdk_container_image") or options.get("worker_harness_container_image")
            written = package.write(folder, demand.functions, demand.project, libraries=not has_image)
            environment[SETUP_FILE] = str(written)
        if needs_job_server(engine, options):
            server = stack.enter_context(_job_server(engine, demand, log, call))
            environment[JOB_ENDPOINT] = server.endpoint
        yield Engine(environment, server)


def require_java(beam: BeamConfig) -> None:
    """Do nothing where a run starts no job server, or there is a Java for it.

    Raises:
        EnvironmentProblem: There is none.
    """
    if needs_job_server(engine_of(beam.runner), beam.options):
        java.java_for(beam.options)


@contextmanager
def _job_server(engine: str, demand: Demand, log: Path, call: Call) -> Iterator[JobServer]:
    beam = demand.beam
    program = java.java_for(beam.options)
    if not is_embedded(engine, beam.options):
        _require_cluster(engine, master(engine, beam.options))
    jar = str(demand.project / beam.job_server_jar) if beam.job_server_jar else None
    with tempfile.TemporaryDirectory(prefix="penstock-artifacts-") as artifacts:
        command, endpoint = call(commands.server_command, engine, demand.flags, jar, program, artifacts)
        with job_server.running(command, endpoint, log) as server:
            yield server


def _require_cluster(engine: str, address: str) -> None:
    """Refuse a cluster that is not there: the job server would try for minutes.

    Raises:
        EnvironmentProblem: Nothing listens at the address.
    """
    parts = urlsplit(address if "://" in address else f"//{address}")
    host, port = parts.hostname, parts.port
    if host is None or port is None:
        return
    try:
        socket.create_connection((host, port), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise EnvironmentProblem(
            f"the {engine} cluster cannot be reached: {error.strerror or error}",
            where=address,
            expected="a cluster that listens there",
            hint=f"start it, or leave the address out: {engine} then runs inside the job server on this machine",
        ) from error
