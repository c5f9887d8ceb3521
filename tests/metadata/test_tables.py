"""What the tables say of a pipeline is what ML Metadata says of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from penstock.errors import EnvironmentProblem
from penstock.metadata.records import artifact_record
from penstock.metadata.scan import Scan
from penstock.metadata.tables import Row, read_tables
from tests.metadata.history import History, two_runs


@pytest.fixture
def history(tmp_path: Path) -> History:
    """Two runs of digits, a failed step, a deleted artifact, and another pipeline that uses a model of the first."""
    history = two_runs(tmp_path / "metadata.sqlite")
    facts = {"text": "x", "count": 3, "number": 0.5, "nothing": ""}
    (gone,) = history.step("run-2", "late", {"late": ("Model", facts)}, {"model": [2]}, state="FAILED", tries=1)
    (artifact,) = history.store.get_artifacts_by_id([gone])
    artifact.state = pb.Artifact.DELETED
    artifact.custom_properties["yes"].bool_value = True
    history.store.put_artifacts([artifact])
    history.pipeline = "wine"
    history.step("wine-1", "borrowed", {"model": ("Model", {})}, {"model": [2]})
    return history


def _asked(scan: Scan) -> list[Row]:
    """Return the executions as ML Metadata's own calls tell them."""
    rows = []
    for page in scan.pages():
        for execution in page.executions:
            row = Row(execution.id, execution.last_known_state, execution.last_update_time_since_epoch)
            row.origin = page.origin(execution.id)
            for event in page.events[execution.id]:
                if event.type == pb.Event.INPUT:
                    row.inputs.add(event.artifact_id)
                elif event.type == pb.Event.OUTPUT:
                    row.outputs.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
            rows.append(row)
    return rows


@pytest.mark.parametrize("pipeline", ["digits", "wine"])
def test_they_say_what_ml_metadata_says(history, pipeline):
    scan, tables = Scan(history.file, pipeline), read_tables(history.file, pipeline)
    rows = _asked(scan)
    assert list(tables.executions) == rows
    made = [one for row in rows for ids in row.outputs.values() for one in ids]
    known = {one.id: one for one in scan.artifacts(made)}
    # As text too: 1 and True are equal, and so are properties in any order.
    assert tables.artifacts == {key: artifact_record(one) for key, one in known.items()}
    assert {key: repr(one) for key, one in tables.artifacts.items()} == {
        key: repr(artifact_record(one)) for key, one in known.items()
    }
    assert tables.deleted == {key for key, one in known.items() if one.state == pb.Artifact.DELETED}


def test_what_another_pipeline_used(history):
    assert read_tables(history.file, "digits").used_elsewhere == {2}
    assert read_tables(history.file, "wine").used_elsewhere == frozenset()


def test_an_unknown_pipeline_has_nothing(history):
    tables = read_tables(history.file, "nothing")
    assert (tables.executions, tables.artifacts) == ((), {})


def test_a_damaged_store_is_told(history):
    content = history.file.read_bytes()
    history.file.write_bytes(content[:4096] + b"\x00" * (len(content) - 4096))
    with pytest.raises(EnvironmentProblem, match="no metadata store, or a damaged one"):
        read_tables(history.file, "digits")
