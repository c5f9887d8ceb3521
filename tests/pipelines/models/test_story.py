"""All that identifies a pushed version, from the records of the components and the runner."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import pytest

from penstock.metadata.label_changes import LabelChange, record_change
from penstock.metadata.provenance import provenance
from penstock.pipelines.cli.models_text import _tell
from penstock.pipelines.models.story import _told
from tests.metadata.history import History, two_runs

TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    history = two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite")
    record_change(history.file, LabelChange("promote", "digits", "stable", 1, 2, "/c"), 9)
    history.step("run-2", "scores", {"predictions": ("InferenceResult", {"uri": "/scores"})}, {"model": [6]})
    tflite = {"tflite_model": ("TFLiteModel", {"mode": "int8", "blessed": 1, "size_bytes": 44000})}
    (converted,) = history.step("run-2", "tflite", tflite, {"model": [6]})
    devices = {"pushed": 1, "model_name": "digits-lite", "pushed_version": "1"}
    history.step("run-2", "devices", {"pushed_model": ("PushedModel", devices)}, {"tflite_model": [converted]})
    return _told(provenance(history.file, 9), "digits", 2)


def test_run_code_and_config(story):
    assert (story.pipeline, story.run, story.trained_in) == ("digits", "run-2", "run-2")
    assert (story.commit, story.config_digest) == (f"{'a' * 40}+", "c2")
    assert story.versions == {"tfx": "1.22.0"}


def test_data_and_parameters(story):
    assert story.data == {"/data": "split:train,num_files:2,total_bytes:7"}
    assert (story.rows, story.fingerprints) == ({"train": 1437}, {})
    assert story.parameters == {"epochs": 8, "hparams": {"units": 64}}


def test_metrics_and_verdict(story):
    assert story.training == {"val_accuracy": 0.97}
    assert story.evaluation == {"example_count": 360, "accuracy": 0.97}
    assert story.slices["label=8"] == {"example_count": 36, "accuracy": 0.83}
    assert (story.blessed, story.blessing_reason) == (True, "every threshold is met")


def test_what_came_of_it(story):
    assert [TIME.sub("TIME", text) for text in story.pushes] == [
        "TIME pushed as digits/2",
        "TIME pushed as digits-lite/1",
    ]
    assert [TIME.sub("TIME", text) for text in story.labels] == ["TIME promote stable: 1 → 2"]
    assert [(one.mode, one.blessed) for one in story.conversions] == [("int8", True)]
    assert story.predictions == ("/scores",)


def test_in_words(story, capsys):
    full = replace(story, hparams={"units": 64}, strategy={"strategy": "default"}, fingerprints={"train": "94"})
    _tell(full, 2)
    lines = TIME.sub("TIME", capsys.readouterr().out).splitlines()
    for line in (
        "  trained   in run run-2",
        "  rows      train 1,437 (content 94)",
        "  hparams   units=64",
        "  strategy  strategy default",
        "  evaluated example_count 360, accuracy 0.97  blessed",
        "  slices    1, accuracy 0.83 (label=8)",
        "  judged    every threshold is met",
        "  libraries tfx 1.22.0",
        "  pushes    TIME pushed as digits/2; TIME pushed as digits-lite/1",
    ):
        assert line in lines
    json.dumps(asdict(full), default=str)


def test_a_version_whose_run_was_cached_was_trained_in_another(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    history.step("run-3", "trainer", {"model": 6}, {"examples": [1]}, state="CACHED")
    told = {"pushed": 1, "model_name": "digits", "pushed_version": "3", "labels": '{"stable": 3}'}
    history.step("run-3", "pusher", {"pushed_model": ("PushedModel", told)}, {"model": [6]})
    story = _told(provenance(history.file, 10), "digits", 3)
    assert (story.run, story.trained_in) == ("run-3", "run-2")
    assert TIME.sub("TIME", story.pushes[-1]) == "TIME pushed as digits/3, stable → 3"


def test_the_verdict_is_that_with_which_the_version_was_pushed(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    outputs = {"evaluation": ("ModelEvaluation", {}), "blessing": ("ModelBlessing", {"blessed": 0})}
    found = {"metrics": '{"overall": {"accuracy": 0.1}}', "reason": "too low"}
    history.step("run-3", "evaluator", outputs, {"model": [6]}, **found)
    story = _told(provenance(history.file, 9), "digits", 2)
    assert (story.blessed, story.blessing_reason) == (True, "every threshold is met")
    assert story.evaluation["accuracy"] == 0.97


def test_a_push_that_did_not_happen_is_told_too(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    told = {"pushed": 0, "reason": "not blessed"}
    history.step("run-3", "pusher", {"pushed_model": ("PushedModel", told)}, {"model": [6]})
    story = _told(provenance(history.file, 9), "digits", 2)
    assert TIME.sub("TIME", story.pushes[-1]) == "TIME not pushed: not blessed"


def test_of_a_model_that_the_store_does_not_know_little_is_told(tmp_path, capsys):
    history = History(tmp_path / "m.sqlite")
    told = {"pushed": 1, "model_name": "digits", "pushed_version": "1"}
    history.step("run", "pusher", {"pushed_model": ("PushedModel", told)})
    story = _told(provenance(history.file, 1), "digits", 1)
    assert (story.pipeline, story.run, story.trained_in, story.commit) == ("digits", "run", "", None)
    _tell(story, 1)
    lines = capsys.readouterr().out.splitlines()
    assert "  trained   not known" in lines
    assert "  rows      not recorded" in lines
