"""ML Metadata in MariaDB and PostgreSQL, as Debian has them: written, read, and gone for a while."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from penstock.errors import EnvironmentProblem
from penstock.metadata import retrying
from penstock.metadata.retrying import RetryingStore
from penstock.metadata.server import Server
from tests.metadata.servers import KINDS, PASSWORD, VARIABLE, Database


@pytest.fixture(scope="module", params=list(KINDS))
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with KINDS[request.param]() as found:
        yield found


@pytest.fixture
def store(database: Database, monkeypatch: pytest.MonkeyPatch) -> RetryingStore:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    return RetryingStore(database.server)


def _put(store: Any) -> int:
    kind = store.put_execution_type(pb.ExecutionType(name="step"))
    (made,) = store.put_executions([pb.Execution(type_id=kind, last_known_state=pb.Execution.RUNNING)])
    return int(made)


def test_what_is_written_is_read(store: RetryingStore):
    (found,) = store.get_executions_by_id([_put(store)])
    assert found.last_known_state == pb.Execution.RUNNING


def test_a_server_that_was_away_for_a_moment_is_reached_again(
    database: Database, store: RetryingStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retrying, "PATIENCE_SECONDS", 240)  # On a busy machine a server takes its time to start.
    before = _put(store)
    database.stop()
    coming = threading.Timer(1.0, database.start)
    coming.start()
    try:
        after = _put(store)
    finally:
        coming.join()
    assert {execution.id for execution in store.get_executions()} >= {before, after}


def test_a_server_that_stays_away_is_one_error(
    database: Database, store: RetryingStore, monkeypatch: pytest.MonkeyPatch
):
    _put(store)
    database.stop()
    try:
        with monkeypatch.context() as hasty:
            hasty.setattr(retrying, "PATIENCE_SECONDS", 0.5)
            with pytest.raises(EnvironmentProblem, match="the metadata store cannot be reached") as raised:
                _put(store)
            with pytest.raises(EnvironmentProblem, match="the metadata store cannot be reached"):
                RetryingStore(database.server)
    finally:
        database.start()
    assert raised.value.where == str(database.server)
    assert PASSWORD not in str(raised.value)
    assert _put(store)


@pytest.mark.parametrize("kind", ["mysql", "postgresql"])
def test_a_password_is_never_written_down(kind: str, monkeypatch: pytest.MonkeyPatch):
    server = Server(kind, "db", 1, "meta", "pen", VARIABLE)
    monkeypatch.setenv(VARIABLE, PASSWORD)
    assert PASSWORD in str(server.with_password())
    for shown in (str(server), repr(server), str(server.without_password())):
        assert PASSWORD not in shown
    assert Server.of(server.without_password()) == server
    assert str(server) == f"{kind}://pen@db:1/meta"


def test_a_file_is_no_server(tmp_path: Path):
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "m.sqlite")
    assert Server.of(config) is None


def test_a_password_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(EnvironmentProblem, match="the password of mysql://pen@db:3306/meta is not there") as raised:
        Server("mysql", "db", 3306, "meta", "pen", VARIABLE).with_password()
    assert raised.value.received == f"no environment variable {VARIABLE}"
