"""``penstock runs``: what it prints, and what it says when there is nothing to print."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace

import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.metadata import runs
from penstock.metadata.owners import Owner
from tests.metadata.history import History, two_runs
from tests.pipelines.models.command import invoke

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture
def history(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    return two_runs(tmp_path / "runs" / "metadata.sqlite")


def printed(*args):
    answer = invoke(*args)
    assert answer.exit_code == 0, answer.exception
    return [re.sub(r"took [\d.]+ s", "took T", TIME.sub("TIME", line)) for line in answer.output.splitlines()]


def refused(*args, error=ConfigError):
    answer = invoke(*args)
    assert isinstance(answer.exception, error), answer.output
    return str(answer.exception)


def test_list(history):
    lines = [re.sub(r"[\d.]+ s ", "T ", line) for line in printed("runs", "list")]
    assert [line.split() for line in lines] == [
        ["run", "state", "started", "took", "steps", "version", "metric"],
        ["run-2", "complete", "TIME", "T", "1", "cached,", "3", "ran", "digits/2", "0.97", "accuracy"],
        ["run-1", "complete", "TIME", "T", "4", "ran", "digits/1", "0.96", "accuracy"],
    ]


def test_list_as_json(history):
    found = json.loads(invoke("runs", "list", "--json", "--limit", 1).output)
    assert [(one["id"], one["version"], one["metric"], one["value"]) for one in found] == [
        ("run-2", "digits/2", "accuracy", 0.97)
    ]


def test_the_newest_comes_first_of_those_that_began_in_the_same_millisecond(history, monkeypatch):
    told = runs.list_runs
    monkeypatch.setattr(runs, "list_runs", lambda *asked: [replace(line, started=7) for line in told(*asked)])
    assert [one["id"] for one in json.loads(invoke("runs", "list", "--json").output)] == ["run-2", "run-1"]


def test_list_of_several_pipelines_names_them(history):
    history.pipeline = "wine"
    history.step("wine-1", "examples")
    lines = [line.split()[:3] for line in printed("runs", "list")]
    assert lines == [
        ["run", "pipeline", "state"],
        ["wine-1", "wine", "complete"],
        ["run-2", "digits", "complete"],
        ["run-1", "digits", "complete"],
    ]
    assert len(printed("runs", "list", "--pipeline", "wine")) == 2


def test_list_where_nothing_has_run_yet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    History(tmp_path / "metadata.sqlite").begin("prepared")
    assert printed("runs", "list") == ["No run is recorded yet: penstock run FILE"]


def test_show(history):
    lines = printed("runs", "show", "latest")
    assert lines[:5] == [
        "run run-2 of digits: complete",
        "  pushed    digits/2",
        "  started   TIME, took T",
        "  config    —, digest c2",
        f"  commit    {'a' * 40}, and files differed",
    ]
    assert lines[5] == "  libraries tfx 1.22.0"
    table = [line.split() for line in lines[7:12]]
    assert table[0] == ["step", "component", "state", "seconds", "execution", "from"]
    assert table[1][:3] + table[1][-3:] == ["examples", "Some", "cached", "5", "run", "run-1"]
    text = "\n".join(lines)
    assert "\ntrainer\n  in   examples: Examples 1  /digits/examples/examples/run-1\n" in text
    assert '\n  with epochs=8, hparams={"units": 64}\n' in text
    assert "\n  model: train_rows=1437, val_accuracy=0.97, wall_seconds=2.5\n" in text
    assert "\n  found overall: example_count 360, accuracy 0.97\n  found every threshold is met\n" in text


def test_show_as_json(history):
    found = json.loads(invoke("runs", "show", "run-1", "--json").output)
    assert (found["id"], found["pipeline"], [step["name"] for step in found["steps"]]) == (
        "run-1",
        "digits",
        ["examples", "trainer", "evaluator", "pusher"],
    )


def test_one_step_of_a_run(history):
    lines = printed("runs", "show", "--step", "pusher")
    assert lines[0] == "run run-2 of digits: complete"
    assert [line.split()[0] for line in lines[lines.index("") :] if line[:1].strip()] == ["step", "pusher", "pusher"]
    found = json.loads(invoke("runs", "show", "--step", "pusher", "--json").output)
    assert [step["name"] for step in found["steps"]] == ["pusher"]
    assert refused("runs", "show", "--step", "pushr") == (
        "run run-2 has no step 'pushr'\n  received: pushr\n  expected: one of examples, trainer, evaluator, pusher\n"
        "  next: did you mean 'pusher'?"
    )


def test_show_says_why_nothing_was_pushed(history):
    reason = "not blessed: " + "too low " * 20
    history.step("run-3", "pusher", {"pushed_model": ("PushedModel", {"pushed": 0, "reason": reason})})
    lines = printed("runs", "show")
    assert "  pushed_model: pushed=0" in lines
    assert f"  pushed_model: {reason}" in lines


def test_show_names_the_log_of_what_failed(history, tmp_path):
    log = tmp_path / "logs" / "run-3" / "trainer.log"
    log.parent.mkdir(parents=True)
    log.write_text("no memory")
    owner = Owner.here("digits", str(tmp_path), "lock").text
    history.step("run-3", "trainer", state="FAILED", penstock_owner=owner, penstock_reason="no\n  memory")
    lines = printed("runs", "show")
    assert lines[-4:] == ["trainer", "  why  no", "         memory", "  log  logs/run-3/trainer.log"]
    assert [line.split()[-2:] for line in lines if line.startswith("trainer ")] == [["9", "no"]]


def test_diff(history):
    lines = printed("runs", "diff", "latest~1", "latest")
    assert lines[:2] == ["A  run-1 of digits  TIME  complete", "B  run-2 of digits  TIME  complete"]
    text = "\n".join(lines)
    assert "\nconfig\n               A  B\n  vars.epochs  5  8\n" in text
    assert "\nmetrics\n                              A     B\n" in text
    assert "\n  evaluator overall accuracy  0.96  0.97  +0.01\n" in text
    assert lines[-1] == "the same: data, steps; 1 output in common"
    assert json.loads(invoke("runs", "diff", "run-1", "run-2", "--json").output)["after"] == "run-2"


def test_what_a_failed_run_lacks_is_counted(history):
    history.begin("run-3", pipeline="digits", steps='["examples", "trainer", "evaluator", "pusher"]')
    history.step("run-3", "examples", {"examples": 1}, state="CACHED")
    history.step("run-3", "trainer", state="FAILED")
    text = "\n".join(printed("runs", "diff"))
    assert "\nmetrics\n  6 of steps that only one of them finished: evaluator, trainer\n" in text
    assert "\n  4 of steps that only one of them finished: trainer, evaluator, pusher\n" in text
    assert "\n  trainer    done  failed\n" in text
    assert len(json.loads(invoke("runs", "diff", "--json").output)["sections"]["artifacts"]) == 4


@pytest.mark.parametrize("arguments", [(), ("latest",), ("run-2",), ("run-2~1", "run-2")])
def test_a_run_is_compared_with_the_one_before(history, arguments):
    assert printed("runs", "diff", *arguments) == printed("runs", "diff", "run-1", "run-2")


def test_a_first_run_has_none_before(history):
    assert refused("runs", "diff", "run-1") == (
        f"{history.file}: there is no run 'run-1~1' of digits\n  received: 2 runs, 0 before run-1\n"
        "  next: there is none before it to compare"
    )


def test_the_runs_of_a_diff_are_of_one_pipeline(history):
    history.pipeline = "wine"
    for run in ("wine-1", "wine-2"):
        history.begin(run, pipeline="wine")
        history.step(run, "examples")
    assert printed("runs", "diff", "latest~1", "run-2")[0] == "A  run-1 of digits  TIME  complete"
    assert printed("runs", "diff", "run-1", "latest")[1] == "B  run-2 of digits  TIME  complete"
    assert printed("runs", "diff")[0] == "A  wine-1 of wine  TIME  complete"
    assert "there is no run 'run-1' of wine" in refused("runs", "diff", "wine-1", "run-1")


def test_a_run_that_is_not_there(history):
    text = refused("runs", "show", "run-3")
    assert text == (
        f"{history.file}: there is no run 'run-3' of digits\n  received: run-3\n"
        "  expected: a run's id, its beginning, latest, or latest~1 for the one before\n"
        "  next: did you mean 'run-2'?"
    )
    answer = invoke("runs", "show", "run-3", "--json")
    assert (answer.exit_code, json.loads(answer.output)["error"]["hint"]) == (2, "did you mean 'run-2'?")


def test_one_that_two_pipelines_have(history):
    history.pipeline = "wine"
    history.step("wine-1", "examples")
    assert printed("runs", "show")[0] == "run wine-1 of wine: complete"
    assert printed("runs", "show", "--pipeline", "digits")[0] == "run run-2 of digits: complete"
    (history.file.parent / "copy").mkdir()
    shutil.copy(history.file, history.file.parent / "copy")
    assert refused("runs", "show", "run-1") == (
        "run 'run-1' is known to several pipelines\n"
        "  received: digits in runs/metadata.sqlite, digits in runs/copy/metadata.sqlite\n"
        "  next: name one with --in FILE, or with --pipeline"
    )
    assert printed("runs", "show", "run-1", "--in", "runs/copy")[0] == "run run-1 of digits: complete"
    assert "run 'nothing'" in refused("runs", "show", "nothing")


@pytest.mark.parametrize("where", ["runs", "runs/metadata.sqlite", "."])
def test_where(history, where):
    assert len(printed("runs", "list", "--in", where)) == 3


def test_a_pipelines_file_names_its_store_and_itself(history, project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    steps = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
    file = project.pipeline(steps, top="pipeline: digits\nroot: runs\n")
    assert len(printed("runs", "list", "--in", file)) == 3
    other = project.pipeline(steps, top="pipeline: other\nroot: runs\n")
    assert printed("runs", "list", "--in", other) == ["No run is recorded yet: penstock run FILE"]


def test_a_pipeline_that_is_not_there(history):
    assert refused("runs", "list", "--pipeline", "digit") == (
        "runs/metadata.sqlite: there is no pipeline 'digit'\n  received: digit\n  expected: one of digits\n"
        "  next: did you mean 'digits'?"
    )


def test_no_store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = refused("runs", "list")
    assert text.startswith(f"{tmp_path}: no metadata store was found\n  expected: a pipeline's file, its root, or")
    (tmp_path / "metadata.sqlite").mkdir()
    assert refused("runs", "list") == text
    assert refused("runs", "list", "--in", "x") == (
        "x: there is no such file or folder\n  expected: a pipeline's file, its root, or a metadata.sqlite\n"
        "  next: name one with --in; without it, those below the working directory are asked"
    )


def test_a_store_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "metadata.sqlite").write_text("no database")
    text = refused("runs", "list", error=EnvironmentProblem)
    assert text.startswith(f"{tmp_path / 'metadata.sqlite'}: the file is no metadata store, or a damaged one\n")


@pytest.mark.parametrize("command", [["runs", "list"], ["runs", "show"], ["runs", "diff"], ["lineage"], ["why"]])
def test_help_ends_with_an_example(command):
    answer = invoke(*command, "--help")
    assert answer.exit_code == 0
    assert f"Example: penstock {' '.join(command)}" in answer.output


def test_what_the_system_refuses_is_json_too(history, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", "runs")

    monkeypatch.setattr("penstock.pipelines.stores.places", refuse)
    answer = invoke("runs", "list", "--json")
    told = json.loads(answer.output)["error"]
    assert (answer.exit_code, told["where"], told["what"]) == (
        1,
        "runs",
        "reading or writing failed: Permission denied",
    )
