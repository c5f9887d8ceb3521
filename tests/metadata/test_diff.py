"""What differs between two runs."""

from __future__ import annotations

import json

import pytest

from penstock.metadata.choose import choose_run
from penstock.metadata.diff import SECTIONS, Difference, diff_runs, flatten
from penstock.metadata.reader import Reader
from penstock.metadata.runs import read_run
from tests.metadata.history import History, two_runs


def compared(history, before="run-1", after="run-2"):
    reader = Reader(history.file, "digits")
    return diff_runs(*(read_run(reader, choose_run(reader, run)) for run in (before, after)))


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return compared(two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite"))


@pytest.mark.parametrize(
    ("section", "differences"),
    [
        ("config", [("vars.epochs", 5, 8)]),
        ("code", [("dirty", 0, 1), ("model", "m1", "m2")]),
        ("data", []),
        ("metrics", [("evaluator overall accuracy", 0.96, 0.97), ("trainer val_accuracy", 0.96, 0.97)]),
        (
            "artifacts",
            [
                ("trainer.model", "2", "6"),
                ("evaluator.blessing", "4", "8"),
                ("evaluator.evaluation", "3", "7"),
                ("pusher.pushed_model", "5", "9"),
            ],
        ),
        ("steps", []),
        ("versions", [("tfx", "1.21.0", "1.22.0")]),
    ],
)
def test_sections(found, section, differences):
    assert [(one.name, one.before, one.after) for one in found.sections[section]] == differences


def test_what_is_the_same(found):
    assert (found.before, found.after, found.same) == ("run-1", "run-2", 1)
    assert tuple(found.sections) == SECTIONS
    json.dumps(found.to_dict())


def test_a_run_beside_itself_differs_in_nothing(tmp_path):
    found = compared(two_runs(tmp_path / "m.sqlite"), "run-1", "run-1")
    assert not any(found.sections.values())


def test_runs_that_did_not_record_their_config_are_compared_by_what_the_steps_received(tmp_path):
    history = two_runs(tmp_path / "m.sqlite")
    config = '{"epochs": 9, "hparams": {"units": 64}, "seed": 1}'
    history.step("run-0", "trainer", config=config, user_code="u", __private="x")
    found = compared(history, "run-1", "run-0")
    assert [(one.name, one.before, one.after) for one in found.sections["config"]] == [
        ("steps.examples.with.input_base", "/data", None),
        ("steps.trainer.with.epochs", 5, 9),
        ("steps.trainer.with.seed", None, 1),
    ]
    assert found.sections["code"] == (Difference("code of trainer", None, "u"),)
    assert found.sections["versions"] == ()
    assert ("examples", "done", None) in [(one.name, one.before, one.after) for one in found.sections["steps"]]


def test_other_data(tmp_path):
    history = History(tmp_path / "m.sqlite")
    for run, size in (("a", 7), ("b", 8)):
        times = f"xor_checksum:1,sum_checksum:{size}"
        fingerprint = f"split:train,num_files:2,total_bytes:{size},{times}\nsplit:eval,num_files:1,total_bytes:3"
        history.step(run, "examples", {"examples": ("Examples", {"input_fingerprint": fingerprint})})
    assert compared(history, "a", "b").sections["data"] == (
        Difference("examples.examples train bytes", "7", "8"),
        Difference("examples.examples train file times", "7/1", "8/1"),
    )


def test_a_step_that_failed_in_one(tmp_path):
    history = History(tmp_path / "m.sqlite")
    history.step("a", "one")
    history.step("b", "one", state="FAILED")
    assert compared(history, "a", "b").sections["steps"] == (Difference("one", "done", "failed"),)


def test_flatten():
    data = {"a": {"b": 1, "c": {"d": [1, {"e": 2}]}}, "f": {}, "g": None, "h": [1, 2]}
    assert list(flatten(data)) == [
        ("a.b", 1),
        ("a.c.d[0]", 1),
        ("a.c.d[1].e", 2),
        ("f", {}),
        ("g", None),
        ("h", [1, 2]),
    ]
