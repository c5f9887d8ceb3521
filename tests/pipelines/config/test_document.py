"""Documents: places, paths, and what they hide."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.pipelines.config import Document, load
from tests.pipelines.config.conftest import Project

TEXT = """\
pipeline: digits
root: ${env.HOME_OF_RUNS:runs}/digits
steps:
  trainer:
    component: Trainer
    with: {epochs: 5, token: "${env.TOKEN}", url: "https://${env.TOKEN}@host"}
"""
WITH = ("steps", "trainer", "with")


@pytest.fixture
def document(project: Project) -> Document:
    return project.load(TEXT, environ={"TOKEN": "hunter2"}).document


def test_marks(document: Document) -> None:
    places = {
        (WITH, False): "p.yaml:6:11",
        (WITH, True): "p.yaml:6:5",
        ((*WITH, "epochs"), False): "p.yaml:6:20",
        ((*WITH, "epochs"), True): "p.yaml:6:12",
        ((*WITH, "none", 0), False): "p.yaml:6:5",
        (("steps", "trainer", "cache"), True): "p.yaml:4:3",
        (("metadata", "sqlite"), False): "p.yaml:1:1",
    }
    found = {}
    for path, key in places:
        mark = document.mark(path, key=key)
        assert mark is not None
        found[path, key] = mark.location
    assert found == places


def test_relative_paths_start_at_the_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("pyproject.toml", "")
    file = project.write("configs/p.yaml", Project.HEAD + Project.STEPS)
    monkeypatch.chdir(project.folder / "configs")
    loaded = load(file.name)
    assert loaded.document.file == file
    assert loaded.document.project == project.folder
    assert loaded.root == str(project.folder / "runs/digits")
    assert loaded.sqlite == str(project.folder / "runs/digits/metadata.sqlite")
    assert loaded.document.resolve("a/../b") == str(project.folder / "b")
    assert loaded.document.resolve("/a") == "/a"


def test_urls_stay(project: Project) -> None:
    loaded = project.load("pipeline: a\nroot: gs://bucket/a\n" + Project.STEPS)
    assert loaded.root == "gs://bucket/a"
    assert loaded.sqlite == "gs://bucket/a/metadata.sqlite"


def test_the_environment_is_that_of_the_process_by_default(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME_OF_RUNS", "/elsewhere")
    monkeypatch.setenv("TOKEN", "x")
    assert load(project.write("p.yaml", TEXT)).root == "/elsewhere/digits"


def test_data_is_merged_and_substituted(document: Document) -> None:
    assert document.data["root"] == "runs/digits"
    assert document.data["metadata"] == {"sqlite": "runs/digits/metadata.sqlite"}
    assert document.value((*WITH, "url")) == "https://hunter2@host"
    assert document.value((*WITH, "none")) is None
    assert document.value(("root", "x")) is None


def test_values_in_words(document: Document) -> None:
    assert document.shown((*WITH, "epochs")) == "the integer 5"
    assert document.shown((*WITH, "token")) == "text (from the environment variable TOKEN)"
    assert document.shown(WITH) == "a mapping"
    assert document.origin((*WITH, "token")) == "(from the environment variable TOKEN)"
    assert document.origin((*WITH, "epochs")) is None


@pytest.mark.parametrize("path", [(*WITH, "token"), WITH, ("steps",), (), (*WITH, "token", "below")])
def test_problems_hide_what_came_from_the_environment(document: Document, path: tuple[str, ...]) -> None:
    problem = document.problem(path, "cannot use 'hunter2'", received="hunter2", expected="x", hint="not hunter2")
    assert problem.message == "cannot use '(from the environment variable TOKEN)'"
    assert problem.received == "(from the environment variable TOKEN)"
    assert problem.hint == "not (from the environment variable TOKEN)"
    assert problem.expected == "x"


def test_problems_hide_text_that_holds_it(document: Document) -> None:
    problem = document.problem((*WITH, "url"), "no host at https://hunter2@host, nor hunter2")
    hidden = "(from the environment variable TOKEN)"
    assert problem.message == f"no host at {hidden}, nor {hidden}"


def test_what_may_be_shared_holds_nothing_from_the_environment(project: Project) -> None:
    text = TEXT.replace("epochs: 5", "epochs: 5, list: [1, '${vars.again}']") + "vars: {again: '${env.TOKEN}'}\n"
    document = project.load(text, environ={"TOKEN": "hunter2"}).document
    shared = document.shareable()
    assert "hunter2" not in str(shared)
    hidden = "(from the environment variable TOKEN)"
    given = shared["steps"]["trainer"]["with"]
    assert given == {"epochs": 5, "list": [1, hidden], "token": hidden, "url": hidden}
    assert document.data["steps"]["trainer"]["with"]["token"] == "hunter2"


def test_problems_elsewhere_stay_as_they_are(document: Document) -> None:
    assert document.problem((*WITH, "epochs"), "not hunter2").message == "not hunter2"


def test_short_values_do_not_eat_words(project: Project) -> None:
    document = project.load(Project.HEAD + "vars: {n: '${env.N}'}\n" + Project.STEPS, environ={"N": "5"}).document
    problem = document.problem(("vars", "n"), "needs 15 items, got 5")
    assert problem.message == "needs 15 items, got (from the environment variable N)"


def test_problems_of_keys(document: Document) -> None:
    problem = document.problem((*WITH, "epochs"), "unknown key 'epochs'", key=True)
    assert problem.path == (*WITH, "epochs")
    assert problem.mark is not None
    assert problem.mark.snippet()[1].index("^") == len("      | ") + 11


def test_the_file_may_lie_outside_of_the_working_directory(
    project: Project, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = project.write("p.yaml", Project.HEAD + Project.STEPS)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    mark = load(file).document.mark(("pipeline",))
    assert mark is not None
    assert Path(mark.file) == file
