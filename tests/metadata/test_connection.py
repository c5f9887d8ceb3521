"""Stores that cannot be used: one clear error each."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata import connection
from penstock.metadata.connection import open_store
from tests.metadata.history import two_runs

HOLD = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN EXCLUSIVE")
database.execute("UPDATE Artifact SET uri = 'lost'")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return two_runs(tmp_path_factory.mktemp("store") / "metadata.sqlite").file


@pytest.fixture
def store(tmp_path, whole):
    return Path(shutil.copy(whole, tmp_path / "metadata.sqlite"))


def refused(store):
    with pytest.raises(EnvironmentProblem) as raised:
        open_store(store)
    text = str(raised.value)
    assert text.startswith(f"{store}: ")
    return text.removeprefix(f"{store}: ")


def test_one_that_is_not_there_is_not_made(tmp_path):
    text = refused(tmp_path / "metadata.sqlite")
    assert text == "there is no metadata store\n  next: run the pipeline first"
    assert not list(tmp_path.iterdir())


def test_a_folder_is_none(tmp_path):
    assert refused(tmp_path).startswith("there is no metadata store")


@pytest.mark.parametrize(
    ("version", "words", "hint"),
    [
        (99, "a newer", "use the environment that wrote it, or upgrade ml-metadata"),
        (9, "an older", "use the environment that wrote it"),
    ],
)
def test_one_of_another_schema(store, version, words, hint):
    with sqlite3.connect(store) as database:
        (known,) = database.execute("SELECT schema_version FROM MLMDEnv").fetchone()
        database.execute("UPDATE MLMDEnv SET schema_version = ?", [version])
    database.close()
    assert refused(store) == (
        f"the metadata store was written by {words} ML Metadata\n"
        f"  received: schema version {version}\n  expected: schema version {known}\n  next: {hint}"
    )


def test_a_text_file(tmp_path):
    file = tmp_path / "metadata.sqlite"
    file.write_text("no database at all")
    text = refused(file)
    assert text.startswith("the file is no metadata store, or a damaged one\n  received: file is not a database\n")


def test_one_that_was_cut_off(store):
    content = store.read_bytes()
    store.write_bytes(content[: len(content) // 3])
    assert refused(store).startswith(
        "the file is no metadata store, or a damaged one\n  received: database disk image is malformed\n"
    )


def test_another_database(tmp_path):
    file = tmp_path / "metadata.sqlite"
    database = sqlite3.connect(file)
    database.execute("CREATE TABLE x (y)")
    database.close()
    assert refused(file) == (
        "the file is no metadata store\n  received: a database without the tables of ML Metadata\n"
        "  next: name the metadata.sqlite of a pipeline that has run"
    )


def holder(store):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_locked_one(store, monkeypatch):
    monkeypatch.setattr(connection, "_WAIT_SECONDS", 0.1)
    with holder(store) as process:
        text = refused(store)
        process.kill()
    assert text == "another process holds the metadata store locked\n  next: try again when it has ended"
    open_store(store)


def test_what_a_killed_writer_left_half_written_is_undone(store):
    with holder(store) as process:
        os.kill(process.pid, signal.SIGKILL)
    assert "lost" not in {artifact.uri for artifact in open_store(store).get_artifacts()}
