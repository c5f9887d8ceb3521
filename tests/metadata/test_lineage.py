"""Where artifacts come from, and what became of them."""

from __future__ import annotations

import json
import re

import pytest

from penstock.errors import ConfigError
from penstock.metadata import lineage as lineage_module
from penstock.metadata.lineage import lineage
from penstock.metadata.mermaid import mermaid
from penstock.metadata.reader import Reader
from penstock.metadata.targets import find_artifact
from tests.metadata.history import History, two_runs


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    return Reader(two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite").file, "digits")


def steps(executions):
    return [(one.origin.run, one.origin.step) for one in executions]


def test_a_pushed_version(reader):
    found = lineage(reader, find_artifact(reader, "digits/2"))
    assert found.target.properties["pushed_version"] == "2"
    assert steps(found.up) == [
        ("run-2", "pusher"),
        ("run-2", "evaluator"),
        ("run-2", "trainer"),
        ("run-1", "examples"),
    ]
    # The Evaluator judged the model that was pushed; the Pusher made the version and does not use it.
    assert steps(found.down) == [("run-2", "evaluator")]
    assert found.same == (9, 6)
    assert sorted(found.artifacts) == [1, 6, 7, 8, 9]
    assert found.maker(1) is not None
    assert not found.more


def test_one_direction(reader):
    target = find_artifact(reader, "6")
    up, down = lineage(reader, target, "up"), lineage(reader, target, "down")
    assert (steps(up.up), up.down) == ([("run-2", "trainer"), ("run-1", "examples")], ())
    assert (down.up, steps(down.down)) == ((), [("run-2", "evaluator"), ("run-2", "pusher")])


def test_data_that_was_cached_is_used_by_all_runs(reader):
    found = lineage(reader, find_artifact(reader, "1"), "down")
    assert {step for _, step in steps(found.down)} == {"trainer", "evaluator", "pusher"}
    assert {run for run, _ in steps(found.down)} == {"run-1", "run-2"}
    json.dumps(found.to_dict())


def test_a_wide_one_says_that_there_is_more(reader, monkeypatch):
    monkeypatch.setattr(lineage_module, "WIDTH", 2)
    assert lineage(reader, find_artifact(reader, "1"), "down").more


def test_a_circle_ends(tmp_path):
    history = History(tmp_path / "m.sqlite")
    (first,) = history.step("a", "one", {"x": ("Examples", {})})
    (second,) = history.step("a", "two", {"y": ("Examples", {})}, {"x": [first]})
    history.step("a", "three", {"x": first}, {"y": [second]})
    reader = Reader(history.file, "digits")
    found = lineage(reader, find_artifact(reader, str(first)))
    assert sorted(found.artifacts) == [first, second]


def test_other_pipelines_are_not_followed(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    history.pipeline = "wine"
    history.step("w", "reader", {"y": ("Examples", {})}, {"examples": [1]})
    target = find_artifact(Reader(history.file, "digits"), "1")
    assert "reader" not in {step for _, step in steps(lineage(Reader(history.file, "digits"), target).down)}
    assert "reader" in {step for _, step in steps(lineage(Reader(history.file), target).down)}


def test_mermaid(reader):
    text = mermaid(lineage(reader, find_artifact(reader, "digits/1")))
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    assert '  a5["digits/1 PushedModel 5"]' in lines
    assert '  e2(["trainer<br/>run-1"])' in lines
    assert "  a1 --> e2" in lines
    assert "  e2 --> a2" in lines
    assert lines[-1] == "  class a5,a2 target"


@pytest.mark.parametrize(
    ("text", "kind", "key"),
    [
        ("2", "Model", 2),
        ("digits/1", "PushedModel", 5),
        ("digits", "PushedModel", 9),
        ("/digits/trainer/model/run-1", "Model", 2),
        ("/digits/trainer/model/run-1/Format-Serving/saved_model.pb", "Model", 2),
        ("/digits/trainer/./model/run-2/", "Model", 6),
        ("/s/2", "PushedModel", 9),
        ("/s/1/variables/variables.index", "PushedModel", 5),
        ("trainer", "Model", 6),
        ("evaluator.blessing", "ModelBlessing", 8),
        ("examples", "Examples", 1),
        ("run-1", "PushedModel", 5),
        ("run-2~1", "PushedModel", 5),
        ("latest", "PushedModel", 9),
        ("/data", "Examples", 1),
        ("/data/rows.csv", "Examples", 1),
    ],
)
def test_what_a_person_may_name(reader, text, kind, key):
    found = find_artifact(reader, text)
    assert (found.type, found.id) == (kind, key)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("digits/7", "did you mean digits/2, the newest version?"),
        ("digts/2", "did you mean digits/2, the newest version?"),
        ("digts", "did you mean digits?"),
        ("trainr", "did you mean trainer?"),
        ("trainr.model", "did you mean trainer?"),
        ("digits:stable", "a label stands behind an @: digits@stable"),
        ("99", "ids go up to 9"),
        ("99999999999999999999999", "ids go up to 9"),
        ("/digits/trainer/model/run-3", "did you mean /digits/trainer/model/run-2?"),
        ('it\'s "not" there', "penstock runs show latest lists the artifacts of a run"),
        ("gs://bucket/x", "penstock runs show latest lists the artifacts of a run"),
    ],
)
def test_what_is_not_there(reader, text, hint):
    with pytest.raises(ConfigError) as raised:
        find_artifact(reader, text)
    assert f"there is no artifact {text!r} in the metadata store" in str(raised.value)
    assert raised.value.hint == hint


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "evaluator",
            "step evaluator gave several outputs\n  received: evaluator\n  expected: one of evaluator.blessing, ",
        ),
        (
            "trainer.modle",
            "step trainer has no output 'modle'\n  received: trainer.modle\n  expected: one of trainer.model",
        ),
        ("latest~9", "there is no run 'latest~9' of digits"),
    ],
)
def test_a_name_that_is_not_enough(reader, text, told):
    with pytest.raises(ConfigError, match=re.escape(told)):
        find_artifact(reader, text)


def test_an_output_of_several_artifacts(tmp_path):
    history = History(tmp_path / "m.sqlite")
    modes = [("TFLiteModel", {"mode": mode, "uri": f"/tflite/{mode}"}) for mode in ("int8", "float16")]
    one, other = history.step("a", "tflite", {"int8": modes[0], "float16": modes[1]})
    history.step("b", "twice", {"tflite_model": one}, state="CACHED")
    reader = Reader(history.file, "digits")
    assert find_artifact(reader, "twice").id == one
    pushed = {"pushed": 1, "model_name": "d", "pushed_version": "1", "modes": "int8, int16x8"}
    (version,) = history.step("b", "devices", {"pushed_model": ("PushedModel", pushed)}, {"tflite_model": [one, other]})
    found = lineage(reader, find_artifact(reader, "d/1"))
    # What was not blessed is no part of the version.
    assert found.same == (version, one)
    assert f'  a{other}["float16 TFLiteModel {other}"]' in mermaid(found).splitlines()


def test_a_run_that_gave_nothing(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.step("a", "examples", state="FAILED")
    with pytest.raises(ConfigError, match="run a gave nothing\n  next: penstock runs show a"):
        find_artifact(Reader(history.file, "digits"), "latest")


def test_uris_of_an_object_store(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.step("a", "trainer", {"model": ("Model", {"uri": "gs://bucket/root/model/6"})})
    reader = Reader(history.file, "digits")
    assert find_artifact(reader, "gs://bucket/root/model/6/Format-Serving/saved_model.pb").id == 1


def test_a_version_that_another_pipeline_pushed(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    history.pipeline = "wine"
    told = {"pushed": 1, "model_name": "digits", "pushed_version": "1"}
    history.step("w", "pusher", {"pushed_model": ("PushedModel", told)})
    assert find_artifact(Reader(history.file, "digits"), "digits/1").id == 5
    assert find_artifact(Reader(history.file, "wine"), "digits/1").id == 10
