"""``penstock compile``: the file, what is printed, and what is refused before anything is imported."""

import json

import pytest
from typer.testing import CliRunner

from penstock.errors import ConfigError
from penstock.pipelines.cli import compile as command
from penstock.pipelines.cli.app import app
from penstock.pipelines.config import ConfigProblems, Loaded
from penstock.pipelines.kubeflow import Compiled, Parameter

TOP = "pipeline: p\nroot: gs://bucket/p\nkubeflow: {image: 'registry/p:1'}\n"
STEPS = "  examples: {component: CsvExampleGen, with: {input_base: gs://bucket/data}}\n"
COMPILED = Compiled(
    name="p",
    target="vertex",
    root="gs://bucket/p",
    spec={"components": {"comp-examples": {"executorLabel": "exec-examples"}}, "text": "a" * 200},
    parameters=(Parameter("epochs", "NUMBER_INTEGER", 5),),
    notes=("a note",),
)


def run(*arguments):
    return CliRunner().invoke(app, ["compile", *arguments], catch_exceptions=True)


@pytest.fixture
def compiling(project, monkeypatch):
    asked: list[Loaded] = []

    def compile_in_worker(loaded):
        asked.append(loaded)
        return COMPILED

    monkeypatch.setattr(command, "compile_in_worker", compile_in_worker)
    project.pipeline(STEPS, top=TOP)
    return asked


def test_what_is_written_and_printed(project, compiling):
    ended = run("p.yaml", "-o", "out.yaml", "--set", "kubeflow.retries=3")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout == (
        "out.yaml: p for Vertex AI, 1 step, root gs://bucket/p\n"
        "  parameter epochs: NUMBER_INTEGER, 5 where a run does not set it\n"
        "  note: a note\n"
    )
    assert (project.folder / "out.yaml").read_text() == COMPILED.to_yaml()
    assert "a" * 200 in COMPILED.to_yaml()
    assert compiling[0].config.kubeflow.retries == 3


def test_json(compiling):
    answer = json.loads(run("p.yaml", "-o", "out.yaml", "--json").stdout)
    assert answer["parameters"] == [{"name": "epochs", "type": "NUMBER_INTEGER", "default": 5}]
    assert (answer["pipeline"], answer["target"], answer["notes"]) == ("p", "vertex", ["a note"])


def test_the_target_goes_before_what_the_config_says(compiling):
    error = run("p.yaml", "-o", "out.yaml", "--target", "vertex").exception
    assert isinstance(error, ConfigProblems)
    assert "target vertex needs to know where" in str(error)
    assert compiling == []


def test_another_kind_of_file_is_refused(compiling):
    error = run("p.yaml", "-o", "out.tar.gz").exception
    assert isinstance(error, ConfigError)
    assert str(error) == ("--output: a compiled pipeline is a YAML file\n  received: out.tar.gz\n  expected: FILE.yaml")


def test_the_folder_of_the_output_is_there(compiling):
    error = run("p.yaml", "-o", "nowhere/out.yaml").exception
    assert isinstance(error, ConfigError)
    assert (error.what, error.received) == ("the output's folder is not there", "nowhere")
    assert compiling == []


def test_the_config_is_not_written_over(project, compiling):
    error = run("p.yaml", "-o", "p.yaml").exception
    assert isinstance(error, ConfigError)
    assert error.what == "the output is the config itself"
    assert "kubeflow" in (project.folder / "p.yaml").read_text()


def test_a_config_without_a_cluster_is_refused_at_once(project, compiling):
    project.pipeline(STEPS)
    ended = run("p.yaml", "-o", "out.yaml")
    assert isinstance(ended.exception, ConfigError)
    assert str(ended.exception) == (
        "p.yaml: the config does not say how it runs on a cluster\n"
        "  expected: kubeflow: {image: REGISTRY/IMAGE:TAG}\n"
        "  next: add the block, or --set kubeflow.image=REGISTRY/IMAGE:TAG"
    )
    assert compiling == []
