"""Promotions and rollbacks in a real metadata store."""

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata.connection import open_store
from penstock.metadata.label_changes import EXECUTION_TYPE, LabelChange, label_changes, record_change
from tests.metadata.lineage import Lineage

CHANGE = LabelChange("promote", "digits", "stable", 1, 2, "/serving/models.config")


@pytest.fixture
def lineage(tmp_path):
    return Lineage(tmp_path / "metadata.sqlite")


def test_a_change_is_an_execution_that_used_the_pushed_model(lineage):
    pushed = lineage.push(2, "d2")
    execution_id = record_change(lineage.file, CHANGE, pushed)
    store = open_store(lineage.file)
    (execution,) = store.get_executions_by_id([execution_id])
    assert (execution.type, execution.last_known_state) == (EXECUTION_TYPE, execution.COMPLETE)
    (event,) = store.get_events_by_execution_ids([execution_id])
    assert (event.type, event.artifact_id, event.path.steps[0].key) == (event.INPUT, pushed, "pushed_model")
    assert [context.name for context in store.get_contexts_by_execution(execution_id)] == ["digits"]


def test_changes_are_read_back_in_order(lineage):
    pushed = lineage.push(2, "d2")
    first = LabelChange("promote", "digits", "canary", None, 2, "/c")
    failed = LabelChange("rollback", "digits", "stable", 2, 1, "/c", error="not AVAILABLE")
    for change in (first, LabelChange("promote", "wine", "stable", None, 2, "/c"), failed):
        record_change(lineage.file, change, pushed)
    found = label_changes(lineage.file, "digits")
    assert [(one.kind, one.label, one.before, one.after, one.error) for one in found] == [
        ("promote", "canary", None, 2, None),
        ("rollback", "stable", 2, 1, "not AVAILABLE"),
    ]
    assert found[0].time > 0


def test_a_store_without_changes(lineage):
    lineage.push(2, "d2")
    assert label_changes(lineage.file, "digits") == []


def test_a_store_that_is_not_there(tmp_path):
    with pytest.raises(EnvironmentProblem, match="there is no metadata store"):
        record_change(tmp_path / "no.sqlite", CHANGE, 1)


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "x.sqlite").write_text("no database")
    with pytest.raises(EnvironmentProblem, match="the file is no metadata store, or a damaged one"):
        label_changes(tmp_path / "x.sqlite", "digits")
