"""Opens a metadata store, and tells its failures in our own words."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.errors import EnvironmentProblem

_WAIT_SECONDS = 5.0
"""For another process that holds the file locked: a write takes milliseconds. ML Metadata would wait for 30."""
_VERSIONS = re.compile(r"database version (\d+) is (greater|older) than library version (\d+)")
_WRITING = "another process may be writing to it: try again"


def open_store(sqlite: Path, *, writable: bool = False) -> Any:
    """Open the store of a pipeline; one that is not there is never made.

    Raises:
        EnvironmentProblem: There is no such file, or it is locked, damaged, of another version or no metadata store.
    """
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb

    if not sqlite.is_file():
        raise EnvironmentProblem("there is no metadata store", where=str(sqlite), hint="run the pipeline first")
    _look_into(sqlite)
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(sqlite)
    mode = pb.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = mode.READWRITE if writable else mode.READONLY
    with explained(sqlite):
        return metadata_store.MetadataStore(config)


@contextmanager
def explained(sqlite: Path) -> Iterator[None]:
    """Turn what ML Metadata raises inside the block into an EnvironmentProblem."""
    from ml_metadata import errors

    try:
        yield
    except (errors.StatusError, RuntimeError) as error:
        raise _problem(str(error), sqlite) from error


def _look_into(sqlite: Path) -> None:
    """Find out by SQLite itself what ML Metadata would only say after half a minute, or as a failed query.

    Opened for writing, so that SQLite undoes what a killed process left half-written; a reader alone must not.
    """
    address = f"file:{quote(str(sqlite.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)) as database:
            database.execute("SELECT schema_version FROM MLMDEnv").fetchall()
    except sqlite3.Error as error:
        raise _problem(str(error), sqlite) from error


def _problem(message: str, sqlite: Path) -> EnvironmentProblem:
    """Return the error for what SQLite or ML Metadata says."""
    where, text = str(sqlite), message.lower()
    versions = _VERSIONS.search(message)
    if versions:
        found, relation, known = versions.groups()
        newer = relation == "greater"
        return EnvironmentProblem(
            f"the metadata store was written by {'a newer' if newer else 'an older'} ML Metadata",
            where=where,
            received=f"schema version {found}",
            expected=f"schema version {known}",
            hint="use the environment that wrote it" + (", or upgrade ml-metadata" if newer else ""),
        )
    if "locked" in text or "busy" in text or "concurrent writes" in text:
        return EnvironmentProblem(
            "another process holds the metadata store locked", where=where, hint="try again when it has ended"
        )
    if "no such table" in text:
        return EnvironmentProblem(
            "the file is no metadata store",
            where=where,
            received="a database without the tables of ML Metadata",
            hint="name the metadata.sqlite of a pipeline that has run",
        )
    if "not a database" in text or "malformed" in text:
        return EnvironmentProblem(
            "the file is no metadata store, or a damaged one",
            where=where,
            received=message.partition(" query:")[0],
            expected="a SQLite file that ML Metadata wrote",
            hint="put a copy of it in its place; artifacts and pushed versions are files of their own",
        )
    if "unable to open" in text:
        return EnvironmentProblem(
            "the metadata store cannot be read", where=where, hint="check the permissions of the file and its folder"
        )
    return EnvironmentProblem(f"the metadata store cannot be used: {message}", where=where, hint=_WRITING)
