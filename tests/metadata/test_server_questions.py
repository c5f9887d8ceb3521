"""What keeps a server's store from being read is told clearly, and looking at one changes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata import Store, looking, retrying
from penstock.metadata.connection import is_there, open_store, require_access
from penstock.metadata.label_changes import LabelChange, label_changes, record_change
from penstock.metadata.reader import Reader
from penstock.metadata.retrying import RetryingStore
from penstock.metadata.server import Server
from tests.metadata.history import two_runs
from tests.metadata.servers import BLIND, KINDS, PASSWORD, READER, VARIABLE, Database

FILLED = "full"


@pytest.fixture(scope="module", params=list(KINDS))
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with pytest.MonkeyPatch.context() as patch, KINDS[request.param]() as found:
        patch.setenv(VARIABLE, PASSWORD)
        two_runs(Path("nowhere"), RetryingStore(found.database(FILLED)))
        yield found


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)


@pytest.fixture
def server(database: Database) -> Server:
    return database.database(FILLED)


def refused(server: Server, ask: Any = open_store) -> str:
    with pytest.raises(EnvironmentProblem) as raised:
        ask(server)
    assert PASSWORD not in str(raised.value)
    assert raised.value.where == str(server)
    return str(raised.value).removeprefix(f"{server}: ")


def test_a_question_changes_nothing(database: Database, server: Server):
    before = database.dump(server.database)
    assert sum(len(rows) for rows in before.values()) > 50
    assert [run.id for run in Reader(server, "digits").newest_runs(5)] == ["run-2", "run-1"]
    assert label_changes(server, "digits") == []
    assert Store(server, "digits").last_success("trainer") is not None
    assert database.dump(server.database) == before


def test_who_may_only_read_may_ask(server: Server):
    reader = Reader(replace(server, user=READER), "digits")
    assert [run.id for run in reader.newest_runs(5)] == ["run-2", "run-1"]


def test_who_may_only_read_may_not_write(server: Server):
    change = LabelChange("promote", "digits", "stable", 1, 2, "models.config")
    text = refused(replace(server, user=READER), lambda at: record_change(at, change, 5))
    assert text.startswith("the user has no rights to the metadata store\n")
    assert "denied" in text
    assert f"next: have {READER} granted the rights to {server.database}" in text


def test_a_label_that_was_moved_is_recorded(server: Server):
    change = LabelChange("promote", "wine", "stable", 1, 2, "models.config")
    record_change(server, change, 5)
    (found,) = label_changes(server, "wine")
    assert replace(found, time=0) == change


def test_a_wrong_password(server: Server, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(VARIABLE, "another")
    for ask in (open_store, is_there, require_access, RetryingStore):
        text = refused(server, ask)
        assert text.startswith("the server refuses the user of the metadata store\n  received: ")
        assert text.endswith(f"next: check the user pen and the password in {VARIABLE}")
        assert "another" not in text


def test_a_user_that_is_not_there(server: Server):
    assert refused(replace(server, user="nobody")).startswith("the server refuses the user of the metadata store\n")


def test_a_user_without_rights(server: Server):
    for ask in (open_store, is_there, require_access, RetryingStore):
        text = refused(replace(server, user=BLIND), ask)
        assert text.startswith("the user has no rights to the metadata store\n  received: ")


def test_a_database_that_is_not_there_is_not_made(database: Database):
    server = database.database("none")
    assert not is_there(server)
    assert refused(server) == (
        "there is no metadata store\n  received: a server without that database\n  next: run the pipeline first"
    )
    assert not is_there(server)


def test_a_database_without_tables_gets_none(database: Database):
    server = database.database("bare")
    database.rows("", f"CREATE DATABASE {server.database}")
    assert not is_there(server)
    assert refused(server) == (
        "there is no metadata store\n  received: a database without the tables of ML Metadata\n"
        "  next: run the pipeline first"
    )
    assert database.dump(server.database) == {}


def test_a_run_by_who_may_not_make_tables_fails_at_once(database: Database):
    server = database.database("closed")
    database.rows("", f"CREATE DATABASE {server.database}")
    text = refused(replace(server, user=READER), RetryingStore)
    assert text.startswith("the user has no rights to the metadata store\n")


@pytest.mark.parametrize(("version", "words"), [(99, "a newer"), (9, "an older")])
def test_another_schema(database: Database, server: Server, version: int, words: str):
    ((known,),) = database.rows(server.database, "SELECT schema_version FROM MLMDEnv")
    database.rows(server.database, f"UPDATE MLMDEnv SET schema_version = {version}")
    try:
        for ask in (open_store, RetryingStore):
            assert refused(server, ask).startswith(
                f"the metadata store was written by {words} ML Metadata\n"
                f"  received: schema version {version}\n  expected: schema version {known}\n"
            )
    finally:
        database.rows(server.database, f"UPDATE MLMDEnv SET schema_version = {known}")


def test_a_server_that_goes_between_two_questions(database: Database, server: Server, monkeypatch: pytest.MonkeyPatch):
    reader = Reader(server, "digits")
    assert len(reader.newest_runs(5)) == 2
    database.stop()
    with monkeypatch.context() as hasty:
        hasty.setattr(retrying, "READING_SECONDS", 0.5)
        for _ in range(2):
            text = refused(server, lambda _: reader.newest_runs(5))
            assert text.startswith("the metadata store cannot be reached\n")
    assert refused(server).startswith("the metadata store cannot be reached\n  received: ")
    database.start()
    assert len(reader.newest_runs(5)) == 2


def test_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch):
    import socket

    monkeypatch.setattr(looking, "WAIT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for kind in KINDS:
            server = Server(kind, "127.0.0.1", silent.getsockname()[1], "meta", "pen", VARIABLE)
            text = refused(server)
            assert re.match("the metadata store cannot be reached\n  received: .+\n", text)
            assert text.endswith("next: see that the server runs and can be reached from here")
            require_access(server)  # It may come back.
