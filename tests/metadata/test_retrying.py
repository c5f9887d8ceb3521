"""Many processes write into one SQLite store."""

from __future__ import annotations

from pathlib import Path

import pytest
from ml_metadata import errors
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from benchmarks.metadata_writers import measure
from penstock.metadata import retrying
from penstock.metadata.retrying import RetryingStore


def _config(folder: Path) -> pb.ConnectionConfig:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(folder / "metadata.sqlite")
    return config


def test_no_write_fails_and_none_is_lost(tmp_path):
    found = measure(tmp_path, writers=4, executions=25)
    assert (found["failed"], found["lost"], found["failures"]) == (0, 0, [])


def test_a_write_that_others_stand_in_the_way_of_is_tried_again(tmp_path, monkeypatch):
    store = RetryingStore(_config(tmp_path))
    call = MetadataStore._call
    refused: list[str] = []

    def busy(self, method, *args):
        if method == "PutExecutionType" and len(refused) < 3:
            refused.append(method)
            raise errors.AbortedError("Concurrent writes aborted after max number of retries.")
        return call(self, method, *args)

    monkeypatch.setattr(MetadataStore, "_call", busy)
    assert store.put_execution_type(pb.ExecutionType(name="step")) > 0
    assert len(refused) == 3


def test_patience_ends(tmp_path, monkeypatch):
    store = RetryingStore(_config(tmp_path))

    def busy(self, method, *args):
        raise errors.AbortedError("Concurrent writes aborted after max number of retries.")

    monkeypatch.setattr(retrying, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(MetadataStore, "_call", busy)
    with pytest.raises(errors.AbortedError, match="Concurrent writes"):
        store.put_execution_type(pb.ExecutionType(name="step"))


def test_another_error_is_not_tried_again(tmp_path, monkeypatch):
    store = RetryingStore(_config(tmp_path))
    monkeypatch.setattr(retrying, "PATIENCE_SECONDS", 600)
    with pytest.raises(errors.NotFoundError):
        store.put_executions([pb.Execution(type_id=77)])


def test_what_is_no_store_is_not_tried_again(tmp_path, monkeypatch):
    (tmp_path / "metadata.sqlite").write_bytes(b"no database" * 100)
    monkeypatch.setattr(retrying, "PATIENCE_SECONDS", 600)
    with pytest.raises(RuntimeError, match="file is not a database"):
        RetryingStore(_config(tmp_path))
