"""The command line: messages, JSON, exit codes."""

import errno
import json
import os
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from penstock.errors import PenstockError
from penstock.pipelines.cli.app import app, main
from penstock.pipelines.cli.checked import refuse_other_tasks
from penstock.version import __version__

COMMANDS = ["validate", "plan", "run", "serve", "request", "convert", "init", "doctor", "schema"]
STEPS = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"


def invoke(*args):
    return CliRunner().invoke(app, list(args))


@pytest.fixture
def valid(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    return project.pipeline(STEPS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command):
    answer = invoke(command, "--help")
    assert answer.exit_code == 0
    assert f"Example: penstock {command}" in answer.output


def test_version():
    assert invoke("--version").output == f"penstock {__version__}\n"


def test_validate_says_what_is_there(valid):
    answer = invoke("validate", str(valid))
    assert answer.exit_code == 0
    assert answer.output == f"{valid}: p is valid, 1 step: examples\n"


def test_validate_as_json(valid):
    answer = invoke("validate", str(valid), "--json")
    assert json.loads(answer.output) == {"valid": True, "pipeline": "p", "steps": ["examples"], "open": [], "notes": []}


def test_a_wrong_config_exits_with_2(project, monkeypatch, capsys):
    file = project.pipeline("  e: {component: CsvExampleGn}\n")
    monkeypatch.setattr("sys.argv", ["penstock", "validate", str(file)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert "p.yaml:4:18: unknown component 'CsvExampleGn'" in errors
    assert "did you mean 'CsvExampleGen'?" in errors


def test_a_wrong_config_as_json(project):
    file = project.pipeline("  e: {component: CsvExampleGn}\n")
    answer = invoke("validate", str(file), "--json")
    assert answer.exit_code == 2
    (problem,) = json.loads(answer.output)["error"]["problems"]
    assert (problem["line"], problem["column"], problem["path"]) == (4, 18, "steps.e.component")


def test_set_reaches_the_config(valid):
    answer = invoke("validate", str(valid), "--set", "pipeline=other")
    assert "other is valid" in answer.output


def test_a_steps_component_that_was_not_looked_into_is_named(valid, project):
    project.write(
        "parts.py",
        "from tfx.dsl.component.experimental.decorators import component\n@component\ndef keep() -> None: ...\n",
    )
    project.pipeline(STEPS + "  mine: {component: parts.keep}\n")
    assert "Not looked into, as that means importing them: mine" in invoke("validate", str(valid)).output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--from", "example"], "no step 'example'"),
        (["--only", "nothing"], "no step 'nothing'"),
        (["--no-cache", "nothing"], "no step 'nothing'"),
        (["--from", "examples", "--only", "examples"], "--from and --only exclude each other"),
    ],
)
def test_a_selection_that_cannot_be_followed(valid, options, message):
    answer = invoke("run", str(valid), *options)
    assert isinstance(answer.exception, PenstockError)
    assert answer.exception.exit_code == 2
    assert message in str(answer.exception)


def test_only_must_not_leave_out_what_lies_between(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    file = project.pipeline(STEPS + "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n")
    answer = invoke("run", str(file), "--only", "examples", "--only", "schema")
    assert "--only leaves out statistics, which lies between the chosen steps" in str(answer.exception)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_root_that_cannot_be_written(valid, project):
    (project.folder / "locked").mkdir(mode=0o500)
    answer = invoke("run", str(valid), "--set", "root=locked/runs")
    assert "the root cannot be written" in str(answer.exception)


def test_a_root_below_a_file(valid, project):
    project.write("file", "")
    answer = invoke("run", str(valid), "--set", "root=file/runs")
    assert "the root cannot be written: Not a directory" in str(answer.exception)


def test_doctor_as_json():
    findings = json.loads(invoke("doctor", "--json").output)
    assert {"interpreter", "lock", "C library", "disk", "Java"} <= {finding["check"] for finding in findings}


def test_a_file_that_cannot_be_read_is_told_as_json(project):
    project.pipeline(STEPS).unlink()
    (project.folder / "p.yaml").mkdir()
    answer = invoke("validate", "p.yaml", "--json")
    assert answer.exit_code == 2
    assert json.loads(answer.output)["error"]["problems"][0]["message"].startswith("p.yaml is a directory")


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_root_behind_a_url(valid, command):
    answer = invoke(command, str(valid), "--set", "root=gs://bucket/runs")
    assert "--set root: a run on this machine needs a root on this machine" in str(answer.exception)
    assert "next: add --set root=runs/here" in str(answer.exception)


def test_an_output_that_cannot_be_written(valid, monkeypatch, capsys):
    def full(*_args: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sys.argv", ["penstock", "validate", str(valid)])
    monkeypatch.setattr("penstock.pipelines.cli.validate.typer", SimpleNamespace(echo=full))
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("reading or writing failed: No space left on device\n  next: check free")


@pytest.mark.parametrize("before", [None, "logfire-plugin"])
def test_the_environment_is_as_it_was_after_a_check(valid, monkeypatch, before):
    monkeypatch.delenv("PYDANTIC_DISABLE_PLUGINS", raising=False)
    if before:
        monkeypatch.setenv("PYDANTIC_DISABLE_PLUGINS", before)
    assert invoke("validate", str(valid)).exit_code == 0
    assert os.environ.get("PYDANTIC_DISABLE_PLUGINS") == before


def cluster_task(index):
    return {
        "TF_CONFIG": json.dumps({"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": index}})
    }


def test_a_pipeline_runs_once_in_a_cluster(valid, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", cluster_task(1)["TF_CONFIG"])
    answer = invoke("run", str(valid), "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.output)["error"] == {
        "cause": "environment",
        "what": "this process is worker 1 of a cluster, and a pipeline is run once, by the chief",
        "where": None,
        "received": "a cluster of 2 workers",
        "expected": "worker 0, or a process without TF_CONFIG and CLUSTER_SPEC",
        "hint": "run the pipeline where the chief is; the other tasks execute the Trainer's step alone",
    }
    assert not valid.with_name("runs").exists()


@pytest.mark.parametrize("environ", [{}, cluster_task(0), {"TF_CONFIG": "{}"}, {"CLUSTER_SPEC": ""}])
def test_the_chief_runs_it(environ):
    refuse_other_tasks(environ)
