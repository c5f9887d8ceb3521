"""``penstock infer``, short of TensorFlow; tests/e2e/test_batch_inference.py runs it."""

import json

import pytest
from typer.testing import CliRunner

from penstock.errors import ConfigError
from penstock.pipelines.cli import infer as module
from penstock.pipelines.cli.app import app
from tests.pipelines.models.pushed import configure, push


@pytest.fixture(autouse=True)
def _pushed(project):
    push(project.folder / "serving" / "digits", 1, 2)
    configure(project.folder / "serving" / "digits", 1, 2, stable=1)


@pytest.fixture
def asked(monkeypatch):
    """What the command would score."""
    found = []

    def score(job, *, overwrite):
        found.append((job.request(overwrite=overwrite), job.beam_args))
        raise ConfigError("far enough")

    monkeypatch.setattr(module._Job, "score", score)
    return found


def _run(*arguments):
    return CliRunner().invoke(app, ["infer", *arguments])


def _said(*arguments):
    error = _run(*arguments).exception
    assert isinstance(error, ConfigError)
    return str(error)


MODEL = ("--model", "digits@stable", "--input", "data/*.csv")


def test_what_the_options_come_to(asked, project):
    _run(
        *MODEL, "--input", "more.csv", "--output", "out", "--input-format", "csv", "--columns", "id, x", "--key", "id",
        "--output-format", "parquet", "--compression", "zstd", "--include", "id", "--outputs", "a,b",
        "--signature", "predict", "--max-rows", "100", "--max-error-rate", "0.1", "--nan", "keep",
        "--beam", "direct_num_workers=2", "--beam", "profile_cpu", "--overwrite",
    )  # fmt: skip
    ((request, beam_args),) = asked
    assert request.files == ("data/*.csv", "more.csv")
    assert request.output == project.folder / "out"
    assert request.overwrite is True
    assert (request.model.name, request.model.version) == ("digits", 1)
    config = request.config
    assert config.signature == "predict"
    assert (config.input.format, config.input.columns, config.input.key) == ("csv", ("id", "x"), "id")
    assert (config.output.format, config.output.compression) == ("parquet", "zstd")
    assert (config.output.include, config.output.outputs) == (("id",), ("a", "b"))
    assert (config.batch.max_rows, config.max_error_rate, config.nan) == (100, 0.1, "keep")
    assert beam_args == (
        "--runner=FnApiRunner",
        "--direct_running_mode=in_memory",
        "--direct_num_workers=2",
        "--profile_cpu",
    )


@pytest.mark.parametrize(
    ("text", "label", "version"), [("digits", None, None), ("digits@canary", "canary", None), ("digits/7", None, 7)]
)
def test_a_server_knows_the_model(asked, text, label, version):
    _run("--model", text, "--grpc", "host:8500", "--input", "*.csv", "--output", "out")
    ((request, _),) = asked
    assert request.model is None
    server = request.config.remote
    assert (server.grpc, server.model, server.label, server.version) == ("host:8500", "digits", label, version)


def test_what_cannot_be_meant(asked):
    assert _said("--model", "digits/x", "--grpc", "host:8500", "--input", "*.csv", "--output", "o") == (
        "--model: 'digits/x' names no model of a server\n  expected: NAME@LABEL or NAME/VERSION"
    )
    assert _said(*MODEL, "--output", "o", "--beam", "--x=1") == (
        "--beam: '--x=1' is no flag of Beam\n  expected: KEY=VALUE, or KEY alone"
    )
    assert _said(*MODEL, "--output", "o", "--compression", "zstd") == (
        "output: jsonl is compressed by none or gzip; received 'zstd'"
    )
    assert _said(*MODEL) == "there is no output folder\n  expected: --output DIR\n  next: --explain writes nothing"


def test_errors_as_json(asked):
    ended = _run(*MODEL, "--output", "o", "--json")
    assert ended.exit_code == 2
    assert json.loads(ended.stdout)["error"]["what"] == "far enough"
