"""Opens a metadata store, and tells its failures in our own words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from penstock.errors import EnvironmentProblem
from penstock.metadata.looking import Trouble, look_at
from penstock.metadata.refusals import NONE, NOT_YET, problem, refused
from penstock.metadata.server import Location, Server

_WAIT_SECONDS = 5.0
"""For another process that holds the file locked: a write takes milliseconds. ML Metadata would wait for 30."""


def open_store(location: Location, *, writable: bool = False) -> Any:
    """Open the store of a pipeline; one that is not there is never made, nor are tables in a database without them.

    Raises:
        EnvironmentProblem: There is none, or it is locked, damaged, of another version or no metadata store; or its
            server does not answer, or does not let the user in.
    """
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb

    if isinstance(location, Server):
        from penstock.metadata.retrying import RetryingStore

        finding = look_at(location)
        if finding is not None:
            raise refused(location, finding)
        with explained(location):
            return RetryingStore(location, create=False)
    if not location.is_file():
        raise EnvironmentProblem(NONE, where=str(location), hint="run the pipeline first")
    _look_into(location)
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(location)
    mode = pb.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = mode.READWRITE if writable else mode.READONLY
    with explained(location):
        return metadata_store.MetadataStore(config)


def is_there(location: Location) -> bool:
    """Return whether there is a store at all: before the first run there is none.

    Raises:
        EnvironmentProblem: Its server does not answer, or does not let the user in.
    """
    if isinstance(location, Path):
        return location.is_file()
    finding = look_at(location)
    if finding is not None and finding.trouble not in NOT_YET:
        raise refused(location, finding)
    return finding is None


def require_access(location: Location) -> None:
    """See that a server lets the user in; one that is away may come back, and a run waits for it.

    Raises:
        EnvironmentProblem: It does not.
    """
    if isinstance(location, Path):
        return
    finding = look_at(location)
    if finding is not None and finding.trouble not in NOT_YET | {Trouble.AWAY}:
        raise refused(location, finding)


@contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what ML Metadata raises inside the block into an EnvironmentProblem."""
    from ml_metadata import errors

    try:
        yield
    except (errors.StatusError, RuntimeError) as error:
        raise problem(str(error), location) from error


def _look_into(sqlite: Path) -> None:
    """Find out by SQLite itself what ML Metadata would only say after half a minute, or as a failed query.

    Opened for writing, so that SQLite undoes what a killed process left half-written; a reader alone must not.
    """
    address = f"file:{quote(str(sqlite.absolute()))}?mode=rw"
    try:
        with closing(sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS)) as database:
            database.execute("SELECT schema_version FROM MLMDEnv").fetchall()
    except sqlite3.Error as error:
        raise problem(str(error), sqlite) from error
