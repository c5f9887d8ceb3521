"""Runs and their steps, read from stores as TFX and the runner write them."""

from __future__ import annotations

import json

import pytest

from benchmarks.metadata_store import runs_for, seed
from penstock.errors import ConfigError
from penstock.metadata.choose import choose_run
from penstock.metadata.reader import Reader
from penstock.metadata.runs import list_runs, read_run
from tests.metadata.history import History, two_runs


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite").file, "digits")


def test_the_list(reader):
    newest, oldest = list_runs(reader, 10)
    assert (newest.id, newest.pipeline, newest.state, newest.version) == ("run-2", "digits", "complete", "digits/2")
    assert (newest.metric, newest.value) == ("accuracy", 0.97)
    assert dict(newest.steps) == {"cached": 1, "ran": 3}
    assert (oldest.id, oldest.value, dict(oldest.steps)) == ("run-1", 0.96, {"ran": 4})
    assert [line.id for line in list_runs(reader, 1)] == ["run-2"]


def test_a_run_in_full(reader):
    run = read_run(reader, choose_run(reader, "latest"))
    assert [(step.name, step.component, step.state, step.cached_from) for step in run.steps] == [
        ("examples", "Some", "cached", "run-1"),
        ("trainer", "Trainer", "ran", ""),
        ("evaluator", "Evaluator", "ran", ""),
        ("pusher", "Some", "ran", ""),
    ]
    assert (run.id, run.state, run.facts["commit"], run.facts["dirty"]) == ("run-2", "complete", "a" * 40, 1)
    trainer = run.steps[1]
    assert [(key, [one.type for one in found]) for key, found in trainer.inputs.items()] == [("examples", ["Examples"])]
    assert trainer.outputs["model"][0].properties["train_rows"] == 1437
    assert json.loads(str(trainer.properties["config"]))["epochs"] == 8
    json.dumps(run.to_dict())


def test_findings_of_a_cached_evaluation_are_those_of_its_maker(tmp_path):
    history = History(tmp_path / "m.sqlite")
    evaluator = "tfx.components.evaluator.component.Evaluator"
    made = history.step("a", "evaluator", {"evaluation": ("ModelEvaluation", {})}, component=evaluator, reason="low")
    history.step("b", "evaluator", {"evaluation": made[0]}, state="CACHED", component=evaluator)
    reader = Reader(history.file, "digits")
    (step,) = read_run(reader, choose_run(reader, "b")).steps
    assert (step.state, step.cached_from, step.properties) == ("cached", "a", {"reason": "low"})


@pytest.mark.parametrize(
    ("states", "state", "counts"),
    [
        (["COMPLETE", "COMPLETE"], "complete", {"ran": 2}),
        (["COMPLETE"], "incomplete", {"ran": 1, "not run": 1}),
        (["COMPLETE", "RUNNING"], "running", {"ran": 1, "running": 1}),
        (["FAILED"], "failed", {"failed": 1, "not run": 1}),
        ([], "incomplete", {"not run": 2}),
    ],
)
def test_what_became_of_a_run(tmp_path, states, state, counts):
    history = History(tmp_path / "m.sqlite")
    history.begin("run", pipeline="digits", steps='["one", "two"]')
    history.step("other", "one")
    for name, each in zip(("one", "two"), states, strict=False):
        history.step("run", name, state=each, penstock_reason="killed")
    reader = Reader(history.file, "digits")
    run = read_run(reader, choose_run(reader, "run"))
    assert (run.state, [step.name for step in run.steps]) == (state, ["one", "two"])
    line = next(line for line in list_runs(reader, 5) if line.id == "run")
    assert (line.state, dict(line.steps)) == (state, counts)
    if state == "failed":
        assert run.steps[0].reason == "killed"


def test_a_step_that_was_tried_twice_counts_as_it_ended(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.step("run", "one", state="FAILED")
    history.step("run", "one")
    reader = Reader(history.file, "digits")
    assert [line.state for line in list_runs(reader, 5)] == ["complete"]


def test_another_pipeline_in_the_store_is_never_told(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    for number in range(3):
        history.pipeline = "wine"
        history.step(f"wine-{number}", "examples", {"examples": ("Examples", {})})
    digits, wine = Reader(history.file, "digits"), Reader(history.file, "wine")
    assert digits.pipelines == ("digits", "wine")
    assert [line.id for line in list_runs(digits, 10)] == ["run-2", "run-1"]
    assert [line.id for line in list_runs(wine, 2)] == ["wine-2", "wine-1"]
    assert choose_run(digits, "latest~1").id == "run-1"
    with pytest.raises(ConfigError, match="there is no run 'wine-0' of digits"):
        choose_run(digits, "wine-0")


def test_choosing(reader):
    assert [choose_run(reader, text).id for text in ("latest", "latest~1", "run-1", "run-2")] == [
        "run-2",
        "run-1",
        "run-1",
        "run-2",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run-", "several runs begin with 'run-'\n  received: run-2, run-1\n"),
        ("rum-1", "there is no run 'rum-1' of digits\n  received: rum-1\n  expected: a run's id"),
        ("rum-1", "next: did you mean 'run-1'?"),
        ("x' OR 1", 'there is no run "x\' OR 1" of digits'),
        ("zzz", "next: the newest are run-2, run-1"),
        (
            "latest~2",
            "there is no run 'latest~2' of digits\n  received: 2 runs, 1 before run-2\n  next: the oldest is latest~1",
        ),
        ("run-1~1", "there is no run 'run-1~1' of digits\n  received: 2 runs, 0 before run-1\n  next: there is none"),
        ("run-9~1", "there is no run 'run-9' of digits"),
        ("", "there is no run '' of digits"),
    ],
)
def test_a_run_that_is_not_there(reader, text, said):
    with pytest.raises(ConfigError) as raised:
        choose_run(reader, text)
    assert said in str(raised.value)
    assert str(reader.location) in str(raised.value)


def test_a_store_without_runs(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.begin("only-prepared", pipeline="digits")
    reader = Reader(history.file, "digits")
    assert reader.pipelines == ()
    assert list_runs(reader, 5) == []
    with pytest.raises(ConfigError, match="next: no run is recorded yet"):
        choose_run(reader, "latest")


def test_a_seeded_history(tmp_path):
    seeded = seed(tmp_path / "m.sqlite", 120)
    assert (seeded.executions, seeded.artifacts, len(seeded.runs)) == (1080, 2160, 120)
    assert runs_for(10_000) == 556
    reader = Reader(seeded.sqlite, seeded.pipeline)
    assert [run.id for run in reader.newest_runs(200)] == list(reversed(seeded.runs))
    run = read_run(reader, choose_run(reader, "latest~100"))
    assert run.id == seeded.runs[19]
    assert [step.state for step in run.steps] == ["ran"] * 9
    assert list_runs(reader, 1)[0].version == "digits/120"


def test_a_store_that_was_seeded_twice_has_two_pipelines(tmp_path):
    for pipeline in ("a", "b"):
        seed(tmp_path / "m.sqlite", 2, pipeline=pipeline)
    assert Reader(tmp_path / "m.sqlite").pipelines == ("a", "b")
