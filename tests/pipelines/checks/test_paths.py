"""Rules about the paths that a config names."""

import pytest

from penstock.pipelines.config import ConfigProblems
from penstock.pipelines.resolve import check

LATEST = "  latest: {component: Resolver, with: {strategy: latest, artifacts: {model: Model}}}\n"
PUSHER = "  pusher: {component: Pusher, inputs: {model: latest.model}, with: {destination: {directory: DIRECTORY}}}\n"


def problems(project, directory, *overrides):
    with pytest.raises(ConfigProblems) as raised:
        check(project.pipeline(LATEST + PUSHER.replace("DIRECTORY", directory)), overrides, {})
    return raised.value.problems


@pytest.fixture(autouse=True)
def _home(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")


@pytest.mark.parametrize(("path", "written"), [("~/serving", "/home/me/serving"), ("'~'", "/home/me")])
def test_a_tilde_of_a_component(project, path, written):
    (problem,) = problems(project, path)
    assert problem.path == ("steps", "pusher", "with", "destination", "directory")
    assert problem.message == "'~' is no home folder in a config"
    assert problem.expected == "a path relative to the project, an absolute one, or a URL"
    assert (problem.received, problem.hint) == (f"the text '{path.strip(chr(39))}'", f"write {written}")


def test_a_tilde_of_a_parameter_that_the_catalog_describes(project):
    text = project.problems("  schema: {component: ImportSchemaGen, with: {schema_file: ~/schema.pbtxt}}\n")
    assert "next: write /home/me/schema.pbtxt" in text


@pytest.mark.parametrize("override", ["root=~/runs", "metadata.sqlite=~/m.sqlite"])
def test_a_tilde_of_the_pipeline_is_told_once(project, override):
    (problem,) = problems(project, "'${root}/serving'", override)
    assert problem.path == tuple(override.partition("=")[0].split("."))


def test_other_names_may_begin_with_it(project):
    assert project.graph(LATEST + PUSHER.replace("DIRECTORY", "~serving/a~/x"))
