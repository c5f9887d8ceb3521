"""What is started before the first Beam step, and what is not."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.errors import EnvironmentProblem
from penstock.pipelines.config import BeamConfig
from penstock.pipelines.engines.flags import beam_args
from penstock.pipelines.engines.start import Demand, started
from tests.ports import free_port

LISTEN = "import socket, sys, time; s = socket.create_server(('localhost', int(sys.argv[1]))); time.sleep(300)"


def _demand(folder, runner, **options):
    return Demand(BeamConfig(runner=runner, options=options), beam_args(runner, options), folder)


def _nothing(function, *_):
    raise AssertionError(f"{function} is called")


@pytest.fixture
def listening():
    """A call that answers with what starts a server, and keeps what it was asked."""
    asked = []

    def call(function, *arguments):
        asked.append((function.__name__, arguments))
        port = free_port()
        return [sys.executable, "-c", LISTEN, str(port)], f"localhost:{port}"

    return call, asked


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        ("direct", {}),
        ("my.own.Runner", {}),
        ("flink", {"job_endpoint": "elsewhere:8099"}),
        ("flink", {"flink_submit_uber_jar": True, "flink_master": "host:8081"}),
        ("dataflow", {"no_auth": True}),
    ],
)
def test_nothing_is_started(tmp_path, runner, options):
    with started(_demand(tmp_path, runner, **options), tmp_path / "log", _nothing) as engine:
        assert (engine.environment, engine.flags, engine.server) == ({}, [], None)
        engine.require_running()


def test_no_beam_step(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    steps = (
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n  statistics: {component: StatisticsGen}\n"
        "  schema: {component: SchemaGen}\n"
    )
    graph = project.graph(steps, top="pipeline: p\nroot: r\nbeam: {runner: flink}\n")
    assert Demand.of(graph, ["schema"]) is None
    found = Demand.of(graph, ["schema", "statistics"])
    assert found == Demand(graph.beam, graph.beam_args, project.folder)
    with started(None, project.folder / "log", _nothing) as engine:
        assert engine.environment == {}


def test_a_job_server_runs_inside_the_block(tmp_path, listening):
    call, asked = listening
    demand = _demand(tmp_path, "flink", job_server_java_launcher="/opt/java", setup_file="auto")
    demand = replace(demand, beam=demand.beam.model_copy(update={"job_server_jar": "own.jar"}))
    with started(demand, tmp_path / "log", call) as engine:
        endpoint = engine.environment["PENSTOCK_JOB_ENDPOINT"]
        setup = engine.environment["PENSTOCK_SETUP_FILE"]
        host, _, port = endpoint.partition(":")
        socket.create_connection((host, int(port))).close()
        assert engine.flags == [f"--setup_file={setup}", f"--job_endpoint={endpoint}"]
        assert Path(setup).is_file()
        engine.require_running()
        ((name, (kind, flags, jar, java, artifacts)),) = asked
        assert (name, kind, jar, java) == ("server_command", "flink", str(tmp_path / "own.jar"), "/opt/java")
        assert "--setup_file=auto" not in flags
        assert Path(artifacts).is_dir()
    assert not Path(setup).exists()
    assert not Path(artifacts).exists()
    with pytest.raises(EnvironmentProblem, match="the job server "):
        engine.require_running()


def test_no_java(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with (
        pytest.raises(EnvironmentProblem, match="there is no Java"),
        started(_demand(tmp_path, "flink"), tmp_path / "log", _nothing),
    ):
        pass


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("flink", {"flink_master": "localhost:1"}),
        ("flink", {"flink_master": "http://localhost:1"}),
        ("spark", {"spark_master_url": "spark://localhost:1"}),
    ],
)
def test_a_cluster_that_is_not_there(tmp_path, engine, options):
    demand = _demand(tmp_path, engine, job_server_java_launcher="java", **options)
    with pytest.raises(EnvironmentProblem) as raised, started(demand, tmp_path / "log", _nothing):
        pass
    assert str(raised.value) == (
        f"{next(iter(options.values()))}: the {engine} cluster cannot be reached: Connection refused\n"
        "  expected: a cluster that listens there\n"
        f"  next: start it, or leave the address out: {engine} then runs inside the job server on this machine"
    )


def test_no_credentials(tmp_path, monkeypatch):
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    def none(scopes):
        raise DefaultCredentialsError("Your default credentials were not found. To set up, see https://example.com.")

    monkeypatch.setattr(google.auth, "default", none)
    with (
        pytest.raises(EnvironmentProblem) as raised,
        started(_demand(tmp_path, "dataflow"), tmp_path / "log", lambda function, *arguments: function(*arguments)),
    ):
        pass
    assert str(raised.value) == (
        "there are no Google Cloud credentials, and Dataflow takes no job without\n"
        "  received: Your default credentials were not found\n"
        "  next: run: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
    )
