"""The main job: real digits, from shards to a served answer; under each strategy, and with a Trainer of TFX."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.metadata import Store
from penstock.serving.saved_model import read_signatures
from tests.e2e.conftest import penstock, run, run_anew, states

STEPS = ["examples", "statistics", "schema", "validator", "transform", "trainer", "evaluator", "pusher", "predictions"]
AS_DIGITS = ["--set", "pipeline=digits", "--set", "steps.predictions.enabled=false"]
"""Options that let an overlay take what lies before the Trainer from the first run."""
OVERLAYS = {
    "mirrored": ("mirrored", 2, 1),
    "central-storage": ("central_storage", 2, 1),
    "multi-worker": ("multi_worker_mirrored", 2, 2),
    "parameter-server": ("parameter_server", 1, 2),
}
"""Overlay in configs/ → strategy, replicas and workers of the model."""


@pytest.fixture(scope="module")
def first(digits, options):
    (digits / "temporary").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(digits / "temporary"))
        return run_anew("configs/digits.yaml", *options)


def test_every_step_runs_and_the_model_is_blessed(first):
    assert states(first) == dict.fromkeys(STEPS, "ran")
    (evaluation,) = first["summary"]["evaluations"]
    assert evaluation["blessed"] is True
    assert evaluation["metrics"]["overall"]["example_count"] == 360
    assert evaluation["metrics"]["overall"]["sparse_categorical_accuracy"] >= 0.93
    assert len(evaluation["metrics"]) == 11
    assert first["summary"]["anomalies"] == {"validator (eval)": [], "validator (train)": []}


def test_the_pushed_model_is_there_and_answers(first, digits):
    (push,) = first["summary"]["pushes"]
    assert (push["pushed"], push["version"], push["there"]) == (True, "1", True)
    assert push["path"] == str(digits / "root/serving/digits/1")
    assert {info.name for info in read_signatures(push["path"])} >= {"serving_default", "predict"}
    rows = first["summary"]["samples"]["rows"]
    assert len(rows) == 5
    assert sum(row["predicted"] == row["label"] for row in rows) >= 4


def test_the_held_out_rows_are_scored(first, digits):
    (predictions,) = first["summary"]["predictions"]
    assert (predictions["scored"], predictions["rows"], predictions["errors"]) == (True, 360, 0)
    (file,) = Path(predictions["path"]).glob("prediction.results-*.jsonl")
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    right = sum(row["outputs"].index(max(row["outputs"])) == row["label"] for row in rows)
    (evaluation,) = first["summary"]["evaluations"]
    assert right / len(rows) == pytest.approx(evaluation["metrics"]["overall"]["sparse_categorical_accuracy"])


def test_the_latest_pushed_model_scores(first, digits, options):
    files = f"steps.predictions.with.input.files={digits / 'data'}/eval-*"
    report = run("configs/digits-inference.yaml", "--set", f"root={digits / 'root'}", "--set", files)
    assert states(report) == {"latest": "ran", "predictions": "ran"}
    (predictions,) = report["summary"]["predictions"]
    assert (predictions["model"], predictions["rows"]) == ("version 1 of digits", 360)
    manifest = json.loads(Path(predictions["path"], "prediction.manifest.json").read_text())
    assert manifest["model"]["path"] == str(digits / "root/serving/digits/1")
    store = Store(digits / "root/metadata.sqlite", "digits")
    (artifact,) = store.outputs(report["run"], "predictions")["predictions"]
    assert artifact.properties["model_digest"] == manifest["model"]["digest"]


def test_logs_hold_what_the_terminal_does_not(first):
    logs = Path(first["logs"])
    assert {f"{step}.log" for step in STEPS} <= {path.name for path in logs.iterdir()}
    assert "Going to run a new execution" in (logs / "trainer.log").read_text()


def test_nothing_is_left_in_the_folder_for_temporary_files(first, digits):
    assert list((digits / "temporary").iterdir()) == []


def test_no_step_packs_tfx_for_workers_that_have_it(first):
    logs = {path.name: path.read_text() for path in Path(first["logs"]).iterdir()}
    assert [name for name, text in logs.items() if "sdist" in text or "extra_package" in text] == []
    assert "--runner=FnApiRunner" in logs["pipeline.pbtxt"]


def test_the_metadata_store_has_the_models_facts(first, digits):
    store = Store(digits / "root/metadata.sqlite", "digits")
    (model,) = store.outputs(first["run"], "trainer")["model"]
    assert model.properties["strategy"] == "default"
    (pushed,) = store.outputs(first["run"], "pusher")["pushed_model"]
    assert pushed.properties["pushed"] == 1
    assert store.outputs("another run", "trainer") == {}


def test_again_everything_is_cached(first, options):
    again = run("configs/digits.yaml", *options)
    assert states(again) == dict.fromkeys(STEPS, "cached")
    assert again["summary"]["pushes"] == first["summary"]["pushes"]


def test_the_plan_says_what_a_change_means(first, options):
    ended = penstock("plan", "configs/digits.yaml", *options, "--set", "vars.epochs=1", "--json")
    planned = {step["name"]: (step["cached"], step["reason"]) for step in json.loads(ended.stdout)}
    assert planned["transform"] == (True, "same inputs, parameters and code as in an earlier run")
    assert planned["trainer"] == (False, "epochs: 5 → 1")
    assert planned["pusher"] == (False, "evaluator and trainer would run")


def test_a_run_is_told_with_all_that_it_is_made_of(first, digits):
    where = ["--in", str(digits / "root")]
    found = json.loads(penstock("runs", "show", first["run"], *where, "--json").stdout)
    steps = {step["name"]: step for step in found["steps"]}
    assert (list(steps), found["state"]) == (STEPS, "complete")
    assert steps["evaluator"]["properties"]["reason"] == "every threshold is met"
    metrics = json.loads(steps["evaluator"]["properties"]["metrics"])
    (evaluation,) = first["summary"]["evaluations"]
    assert metrics == evaluation["metrics"]
    facts = steps["trainer"]["outputs"]["model"][0]["properties"]
    assert (facts["train_rows"], facts["eval_rows"], len(facts["train_fingerprint"])) == (1437, 360, 16)
    assert json.loads(found["facts"]["config"])["steps"]["trainer"]["component"] == "Trainer"
    (line,) = [
        one for one in json.loads(penstock("runs", "list", *where, "--json").stdout) if one["id"] == first["run"]
    ]
    assert (line["version"], line["metric"]) == ("digits/1", "sparse_categorical_accuracy")


def test_what_made_the_pushed_version(first, digits):
    found = json.loads(penstock("lineage", "digits/1", "--in", str(digits / "root"), "--format", "json").stdout)
    steps = {one["id"]: one["origin"]["step"] for one in found["executions"]}
    assert {steps[key] for key in found["up"]} == set(STEPS[:8]) - {"validator"}
    assert {steps[key] for key in found["down"]} >= {"evaluator", "predictions"}


def test_why(first, options):
    again = penstock("why", "configs/digits.yaml", "evaluator", *options)
    assert "evaluator (Evaluator) is cached: the same inputs (examples, model, schema) and parameters" in again.stdout
    assert first["run"] in again.stdout
    other = penstock("why", "configs/digits.yaml", "pusher", *options, "--set", "vars.epochs=1", "--json")
    (root,) = json.loads(other.stdout)["because"]
    assert (root["step"], root["run"] != "") == ("trainer", True)
    assert root["changes"] == [{"kind": "parameter", "name": "epochs", "before": 5, "after": 1}]


def test_from_a_step_on_reuses_what_comes_before_and_a_missed_threshold_pushes_nothing(first, options, digits):
    report = run("configs/digits.yaml", *options, "--from", "evaluator", "--set", "vars.accuracy=0.9999")
    before = dict.fromkeys(STEPS[:6], "reused")
    assert states(report) == {**before, "evaluator": "ran", "pusher": "ran", "predictions": "ran"}
    (evaluation,) = report["summary"]["evaluations"]
    assert evaluation["blessed"] is False
    assert "sparse_categorical_accuracy on overall" in evaluation["reasons"][0]
    assert "the threshold is at least 0.9999" in evaluation["reasons"][0]
    (push,) = report["summary"]["pushes"]
    assert (push["pushed"], push["version"]) == (False, None)
    assert "not blessed" in push["reason"]
    (predictions,) = report["summary"]["predictions"]
    assert (predictions["scored"], predictions["reason"]) == (False, "the model is not blessed")
    assert [path.name for path in (digits / "root/serving/digits").iterdir() if path.name.isdigit()] == ["1"]


def test_a_baseline_is_the_latest_blessed_model(first, options):
    report = run("configs/digits-baseline.yaml", *options)
    assert states(report) == {
        **dict.fromkeys(STEPS[:6], "cached"),
        **dict.fromkeys(STEPS[6:], "ran"),
        "baseline": "ran",
        "scores": "ran",
    }
    (evaluation,) = report["summary"]["evaluations"]
    assert evaluation["metrics"]["overall"]["sparse_categorical_accuracy_diff"] == 0
    assert evaluation["blessed"] is True
    assert report["summary"]["pushes"][0]["version"] == "2"


def test_a_stock_trainer_with_a_classic_run_fn(first, options):
    report = run("configs/digits-stock.yaml", *AS_DIGITS, *options)
    assert states(report) == dict.fromkeys(STEPS[:5], "cached") | dict.fromkeys(STEPS[5:8], "ran")
    assert report["summary"]["pushes"][0]["pushed"] is True


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_under_a_strategy_it_trains_blesses_and_serves(overlay, first, options, digits):
    report = run(f"configs/digits-{overlay}.yaml", *AS_DIGITS, *options)
    assert states(report) == dict.fromkeys(STEPS[:5], "cached") | dict.fromkeys(STEPS[5:8], "ran")
    (evaluation,) = report["summary"]["evaluations"]
    assert evaluation["blessed"] is True
    assert evaluation["metrics"]["overall"]["sparse_categorical_accuracy"] >= 0.93
    rows = report["summary"]["samples"]["rows"]
    assert sum(row["predicted"] == row["label"] for row in rows) >= 4

    (model,) = Store(digits / "root/metadata.sqlite", "digits").outputs(report["run"], "trainer")["model"]
    facts = model.properties
    assert (facts["strategy"], facts["replicas"], facts["workers"]) == OVERLAYS[overlay]
    assert facts["global_batch_size"] == 64
    assert not (digits / "root/trainer/.checkpoints").exists()
    for log in (digits / "root/logs" / report["run"]).glob("trainer-*.log"):
        assert "RefCount" not in log.read_text()
