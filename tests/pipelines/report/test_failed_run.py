"""The page of a run that failed, and of one that recorded little."""

from __future__ import annotations

import json

import pytest

from penstock.metadata.choose import choose_run
from penstock.metadata.reader import Reader
from penstock.pipelines.report.collect import collect
from penstock.pipelines.report.render import render
from tests.metadata.run_files import History

STEPS = ["examples", "trainer", "pusher"]


@pytest.fixture
def history(tmp_path):
    history = History(tmp_path)
    for run in ("r1", "r2"):
        history.run(run, steps=json.dumps(STEPS))
    return history


def fail(history):
    """Write a run whose training failed."""
    (examples,) = history.step("r2", "examples", {"examples": ("Examples", {})})
    history.step("r2", "trainer", {}, {"examples": [examples]}, state="FAILED", penstock_reason="out of <memory>")


def page_of(history):
    reader = Reader(history.sqlite, history.pipeline)
    return collect(reader, choose_run(reader, "r2"))


def test_what_failed_stands_first_with_its_reason(history):
    fail(history)
    head = render(page_of(history)).partition("<dl")[0]
    assert '<strong class="bad">✗ trainer</strong> failed: out of &lt;memory&gt;</p>' in head


def levels(page):
    """Return step → how far to the right it is drawn."""
    return {name: left for name, (left, _) in page.steps.drawings[0].nodes.items()}


def test_steps_that_were_not_run_stand_where_they_did_before(history):
    (examples,) = history.step("r1", "examples", {"examples": ("Examples", {})})
    (model,) = history.step("r1", "trainer", {"model": ("Model", {})}, {"examples": [examples]})
    history.step("r1", "pusher", {"pushed_model": ("PushedModel", {"pushed": 1})}, {"model": [model]})
    fail(history)
    placed = levels(page_of(history))
    assert placed["examples"] < placed["trainer"] < placed["pusher"]


def test_steps_that_never_ran_have_no_arrows(history):
    fail(history)
    placed = levels(page_of(history))
    assert placed["examples"] == placed["pusher"] < placed["trainer"]


def test_a_run_of_which_nothing_is_known(history):
    history.step("r2", "examples", {"examples": ("Examples", {})})
    text = render(page_of(history))
    assert "Nothing of it was recorded." in text
    assert "2 not run, 1 ran" in text
