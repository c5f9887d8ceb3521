"""A store as JSON Lines: everything of one pipeline, nothing of another, always in the same order."""

import json

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from benchmarks.metadata_store import seed
from penstock.metadata.export import _value, export
from penstock.metadata.scan import Scan
from tests.metadata.run_files import History, whole_run


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "a root")


def test_everything_is_there_once_and_counted(history):
    ids = whole_run(history, "r1", version=1, commit="abc")
    history.cached("r2", "trainer", {"model": [ids["model"]], "model_run": [ids["model_run"]]})
    lines = list(export(Scan(history.sqlite, "digits")))
    assert lines[0] == {"kind": "store", "format": "penstock-metadata/1", "pipeline": "digits"}
    assert lines[-1] == {
        "kind": "end", "pipeline": "digits", "contexts": 9, "executions": 7, "events": 15, "artifacts": 7,
    }  # fmt: skip
    artifacts = [line for line in lines if line["kind"] == "artifact"]
    assert [line["id"] for line in artifacts] == sorted(ids.values())
    assert artifacts[3]["properties"] == {"commit": "abc", "val_accuracy": 0.75}
    assert artifacts[3]["state"] == "LIVE"
    run = next(line for line in lines if line.get("name") == "r1")
    assert run["properties"] == {"commit": "abc", "pipeline": "digits"}
    cached = [line for line in lines if line["kind"] == "execution"][-1]
    assert cached["state"] == "CACHED"
    events = [line for line in lines if line.get("execution") == cached["id"]]
    assert [(one["artifact"], one["type"], one["path"]) for one in events] == [
        (ids["model"], "OUTPUT", ["model", 0]),
        (ids["model_run"], "OUTPUT", ["model_run", 0]),
    ]


def test_the_order_is_the_same_each_time(history):
    whole_run(history, "r1")
    lines = [json.dumps(line) for line in export(Scan(history.sqlite, "digits"))]
    assert lines == [json.dumps(line) for line in export(Scan(history.sqlite, "digits"))]


def test_each_context_stands_before_what_it_holds(history):
    whole_run(history, "r1")
    told = set()
    for line in export(Scan(history.sqlite, "digits")):
        if line["kind"] == "context":
            told.add(line["id"])
        if line["kind"] == "execution":
            assert set(line["contexts"]) <= told


def test_other_pipelines_of_the_store_are_left_out(history):
    whole_run(history, "r1")
    mine = list(export(Scan(history.sqlite, "digits")))
    other = History(history.root, "it's \\ another")
    whole_run(other, "r2")
    assert list(export(Scan(history.sqlite, "digits"))) == mine
    assert len(list(export(Scan(history.sqlite, "it's \\ another")))) == len(mine)


def test_a_store_of_many_pages(tmp_path):
    seeded = seed(tmp_path / "metadata.sqlite", 30)
    end = list(export(Scan(seeded.sqlite, seeded.pipeline)))[-1]
    assert (end["executions"], end["artifacts"]) == (seeded.executions, seeded.artifacts)


def test_numbers_that_json_lacks_are_text():
    """SQLite cannot hold them either; a database server can."""
    assert [_value(pb.Value(double_value=float(name))) for name in ("inf", "-inf", "nan")] == ["inf", "-inf", "nan"]


def test_a_pipeline_without_history(history):
    whole_run(history, "r1")
    end = list(export(Scan(history.sqlite, "new")))[-1]
    assert (end["executions"], end["artifacts"]) == (0, 0)
