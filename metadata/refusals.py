"""Why a metadata store cannot be used, in our own words."""

from __future__ import annotations

import re

from penstock.errors import EnvironmentProblem
from penstock.metadata.looking import Finding, Trouble
from penstock.metadata.server import Location, Server

NONE = "there is no metadata store"
UNREACHABLE = "the metadata store cannot be reached"
NO_RIGHTS = ("denied", "read-only")
"""What a server says of a statement that a user may not give, among much else."""
NOT_YET = frozenset({Trouble.NO_DATABASE, Trouble.NO_TABLES})
"""What is wrong before the first run."""
_VERSIONS = re.compile(r"database version (\d+) is (greater|older) than library version (\d+)")
_WRITING = "another process may be writing to it: try again"


def refused(server: Server, finding: Finding) -> EnvironmentProblem:
    """Return the error for what is wrong with a server."""
    what, received, hint = UNREACHABLE, finding.said, "see that the server runs and can be reached from here"
    if finding.trouble is Trouble.USER:
        what = "the server refuses the user of the metadata store"
        given = f"the password in {server.password_env}" if server.password_env else "whether a password_env is needed"
        hint = f"check the user {server.user} and {given}"
    elif finding.trouble is Trouble.RIGHTS:
        what = "the user has no rights to the metadata store"
        hint = f"have {server.user} granted the rights to {server.database}: SELECT to ask, all of them to run"
    elif finding.trouble in NOT_YET:
        without = "that database" if finding.trouble is Trouble.NO_DATABASE else "the tables of ML Metadata"
        what, hint = NONE, "run the pipeline first"
        received = f"a {'server' if finding.trouble is Trouble.NO_DATABASE else 'database'} without {without}"
    elif finding.trouble is Trouble.OTHER:
        what, hint = "the metadata store cannot be used", "see what the server says of it"
    return EnvironmentProblem(what, where=str(server), received=received, hint=hint)


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
