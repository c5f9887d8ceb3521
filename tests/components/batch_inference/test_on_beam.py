"""The same results under every runner that is here; nothing depends on the memory of the run's own process."""

import re
import shlex
import socket
import sys

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter

from penstock.components.batch_inference.beam.shards import NAMESPACE
from penstock.components.batch_inference.infer import infer
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.pipelines.engines.flags import beam_args
from tests.components.batch_inference.conftest import example

IN_MEMORY = ["--runner=FnApiRunner", "--direct_running_mode=in_memory"]
WORKER = f"--environment_config={shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
RUNNERS = {
    "threads": ["--runner=FnApiRunner", "--direct_running_mode=multi_threading", "--direct_num_workers=2"],
    "processes": ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    "portable": [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        WORKER,
    ],
}


@pytest.fixture
def files(scoring):
    for letter in "abc":
        scoring.records(f"{letter}.tfrecord", [example(x=[float(n), 1.0 if n != 3 else -1.0]) for n in range(9)])
    return scoring


def _run(files, arguments, request=None):
    pipelines = []

    def make():
        pipelines.append(Kept(argv=arguments))
        return pipelines[0]

    request = request or files.request("*.tfrecord", signature="serialized", max_error_rate=0.5)
    return infer(request, make), pipelines[0]


class Kept(beam.Pipeline):  # type: ignore[misc]  # Beam is untyped.
    """A pipeline that remembers its result."""

    def run(self, *arguments, **options):
        self.kept = super().run(*arguments, **options)
        return self.kept


def _require_results(files, result):
    assert (result.rows, result.results, result.errors) == (27, 24, 3)
    assert [row["key"] for row in files.lines()] == [
        f"{letter}.tfrecord:{n}" for letter in "abc" for n in range(9) if n != 3
    ]
    assert [(row["file"], row["row"]) for row in files.errors()] == [
        (str(files.folder / f"{letter}.tfrecord"), 3) for letter in "abc"
    ]


def test_in_memory_with_metrics(files):
    result, pipeline = _run(files, IN_MEMORY)
    _require_results(files, result)
    counters = pipeline.kept.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    counts = {counter.key.metric.name: counter.committed for counter in counters}
    sizes = sum(path.stat().st_size for path in files.folder.glob("*.tfrecord"))
    assert counts == {"rows": 27, "errors": 3, "bytes": sizes}


@pytest.mark.e2e
@pytest.mark.parametrize("runner", list(RUNNERS))
def test_under_other_runners(files, runner):
    if runner == "processes" and shlex.quote(sys.executable) != sys.executable:
        pytest.skip("Beam cannot start this Python: it does not quote its path")
    result, _ = _run(files, RUNNERS[runner])
    _require_results(files, result)


@pytest.mark.parametrize(
    "arguments", [IN_MEMORY, pytest.param(RUNNERS["portable"], marks=pytest.mark.e2e)], ids=["in_memory", "portable"]
)
def test_what_a_worker_raises_arrives_as_it_was(files, arguments, tmp_path):
    from penstock.components.batch_inference.pinned import pin
    from tests.components.batch_inference.scaler import save_scaler

    files.model = pin(save_scaler(tmp_path / "model", 2.0))
    save_scaler(tmp_path / "model", 3.0)
    with pytest.raises(ArtifactError) as raised:
        _run(files, arguments)
    assert re.fullmatch(
        f"{tmp_path}/model: the model was replaced during the run; no row was scored with the new one\n"
        f"  received: [0-9a-f]{{64}}\n  expected: digest {files.model.digest}\n"
        "  next: run again: the new model then scores all rows",
        str(raised.value),
    )


def test_direct_is_this_process_and_needs_no_network(files, monkeypatch):
    def reached(*arguments, **_):
        raise AssertionError(f"somebody reached for {arguments}")

    monkeypatch.setattr("urllib.request.urlopen", reached)
    monkeypatch.setattr("apache_beam.runners.portability.prism_runner.urlopen", reached)
    monkeypatch.setattr("apache_beam.runners.portability.prism_runner.PrismRunner.run_pipeline", reached)
    connect = socket.socket.connect
    monkeypatch.setattr(
        socket.socket, "connect", lambda own, to: connect(own, to) if own.family == socket.AF_UNIX else reached(to)
    )
    result, pipeline = _run(files, list(beam_args("direct", {})))
    _require_results(files, result)
    assert type(pipeline.runner).__name__ == "FnApiRunner"


def test_a_runner_that_there_is_not(files):
    with pytest.raises(ConfigError, match="Beam refuses its options: Unexpected pipeline runner: nowhere"):
        _run(files, ["--runner=nowhere"])


def test_a_python_that_beam_cannot_start(files, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/home/me/my project/.venv/bin/python")
    with pytest.raises(EnvironmentProblem) as raised:
        _run(files, RUNNERS["processes"])
    assert str(raised.value) == (
        "Beam cannot start worker processes with this Python\n"
        "  received: /home/me/my project/.venv/bin/python\n"
        "  expected: a path without spaces and other signs that a shell takes apart\n"
        "  next: use direct_running_mode=in_memory or multi_threading, or an environment at another path"
    )
