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
from penstock.metadata.looking import Finding, Trouble, look_at
from penstock.metadata.server import Location, Server

_WAIT_SECONDS = 5.0
"""For another process that holds the file locked: a write takes milliseconds. ML Metadata would wait for 30."""
_VERSIONS = re.compile(r"database version (\d+) is (greater|older) than library version (\d+)")
_WRITING = "another process may be writing to it: try again"
_NONE = "there is no metadata store"
_UNREACHABLE = "the metadata store cannot be reached"
NO_RIGHTS = ("denied", "read-only")
"""What a server says of a statement that a user may not give, among much else."""
_NOT_YET = frozenset({Trouble.NO_DATABASE, Trouble.NO_TABLES})


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
        raise EnvironmentProblem(_NONE, where=str(location), hint="run the pipeline first")
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
    if finding is not None and finding.trouble not in _NOT_YET:
        raise refused(location, finding)
    return finding is None


@contextmanager
def explained(location: Location) -> Iterator[None]:
    """Turn what ML Metadata raises inside the block into an EnvironmentProblem."""
    from ml_metadata import errors

    try:
        yield
    except (errors.StatusError, RuntimeError) as error:
        raise problem(str(error), location) from error


def refused(server: Server, finding: Finding) -> EnvironmentProblem:
    """Return the error for what is wrong with a server."""
    what, received, hint = _UNREACHABLE, finding.said, "see that the server runs and can be reached from here"
    if finding.trouble is Trouble.USER:
        what = "the server refuses the user of the metadata store"
        given = f"the password in {server.password_env}" if server.password_env else "whether a password_env is needed"
        hint = f"check the user {server.user} and {given}"
    elif finding.trouble is Trouble.RIGHTS:
        what = "the user has no rights to the metadata store"
        hint = f"have {server.user} granted the rights to {server.database}: SELECT to ask, all of them to run"
    elif finding.trouble in _NOT_YET:
        without = "that database" if finding.trouble is Trouble.NO_DATABASE else "the tables of ML Metadata"
        what, hint = _NONE, "run the pipeline first"
        received = f"a {'server' if finding.trouble is Trouble.NO_DATABASE else 'database'} without {without}"
    elif finding.trouble is Trouble.OTHER:
        what, hint = "the metadata store cannot be used", "see what the server says of it"
    return EnvironmentProblem(what, where=str(server), received=received, hint=hint)


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


def other_version(message: str, location: Location) -> EnvironmentProblem | None:
    """Return the error for a store of another schema; None where ML Metadata says nothing of one."""
    versions = _VERSIONS.search(message)
    if versions is None:
        return None
    found, relation, known = versions.groups()
    newer = relation == "greater"
    return EnvironmentProblem(
        f"the metadata store was written by {'a newer' if newer else 'an older'} ML Metadata",
        where=str(location),
        received=f"schema version {found}",
        expected=f"schema version {known}",
        hint="use the environment that wrote it" + (", or upgrade ml-metadata" if newer else ""),
    )


def problem(message: str, location: Location) -> EnvironmentProblem:
    """Return the error for what SQLite or ML Metadata says."""
    version = other_version(message, location)
    if version is not None:
        return version
    if isinstance(location, Server):
        trouble = Trouble.RIGHTS if any(text in message for text in NO_RIGHTS) else Trouble.OTHER
        return refused(location, Finding(trouble, message.strip()))
    return _of_file(message, str(location))


def _of_file(message: str, where: str) -> EnvironmentProblem:
    text = message.lower()
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
