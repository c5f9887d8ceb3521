"""A pipeline's whole history, read from the tables of a SQLite store in a few queries.

ML Metadata answers a hundred executions at a time, each in several calls: seconds where a question needs all of them.
The tables are those of schema version 10; a store of another version is refused where it is opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from penstock.metadata.connection import explained
from penstock.metadata.records import Artifact, Origin, Value

_INPUT, _DELETED = 3, 4
"""ML Metadata's numbers of a type of event and of a state of an artifact; an output's event is of type 4."""
_SELECT = (
    "PRAGMA temp_store = MEMORY",
    "BEGIN",
    "CREATE TEMP TABLE ours (execution_id INTEGER PRIMARY KEY)",
    """INSERT INTO ours SELECT a.execution_id FROM Type t JOIN Context c ON c.type_id = t.id
       JOIN Association a ON a.context_id = c.id WHERE t.name = 'pipeline' AND c.name = :pipeline""",
    "CREATE TEMP TABLE made (artifact_id INTEGER PRIMARY KEY)",
    """INSERT OR IGNORE INTO made SELECT e.artifact_id FROM ours CROSS JOIN Event e
       ON e.execution_id = ours.execution_id WHERE e.type = 4""",
)
"""Names the pipeline's executions, and what they gave. CROSS JOIN keeps SQLite from another order, without an index."""
_EXECUTIONS = """
    SELECT id, last_known_state, last_update_time_since_epoch FROM ours JOIN Execution ON id = execution_id ORDER BY id
"""
_CONTEXTS = """
    SELECT a.execution_id, t.name, c.name FROM Association a CROSS JOIN ours ON ours.execution_id = a.execution_id
    CROSS JOIN Context c ON c.id = a.context_id CROSS JOIN Type t ON t.id = c.type_id ORDER BY a.context_id
"""
_EVENTS = """
    SELECT e.execution_id, e.artifact_id, e.type, (
        SELECT step_key FROM EventPath p WHERE p.event_id = e.id ORDER BY p.rowid LIMIT 1
    ) FROM ours CROSS JOIN Event e ON e.execution_id = ours.execution_id WHERE e.type IN (3, 4) ORDER BY e.id
"""
_ARTIFACTS = """
    SELECT a.id, t.name, a.uri, a.state, a.create_time_since_epoch
    FROM made JOIN Artifact a ON a.id = made.artifact_id JOIN Type t ON t.id = a.type_id
"""
_PROPERTIES = """
    SELECT p.artifact_id, p.name, int_value, double_value, string_value, bool_value
    FROM made CROSS JOIN ArtifactProperty p ON p.artifact_id = made.artifact_id
    ORDER BY p.artifact_id, is_custom_property
"""
_USED_ELSEWHERE = """
    SELECT DISTINCT e.artifact_id FROM made CROSS JOIN Event e ON e.artifact_id = made.artifact_id
    WHERE e.type = 3 AND e.execution_id NOT IN (SELECT execution_id FROM ours)
"""


@dataclass
class Row:
    """An execution.

    Attributes:
        state: ML Metadata's number of it.
        updated: When it was recorded last, milliseconds since 1970.
        origin: Its pipeline, run and step.
        inputs: Ids of the artifacts that fed it.
        outputs: Output name → ids of the artifacts that it gave, in the order in which they were recorded.
    """

    id: int
    state: int
    updated: int
    origin: Origin = field(default_factory=Origin)
    inputs: set[int] = field(default_factory=set)
    outputs: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Tables:
    """What the tables hold of a pipeline.

    Attributes:
        executions: Oldest first.
        artifacts: Id → what one of them gave.
        deleted: Ids of those that are marked as deleted.
        used_elsewhere: Ids of those that an execution of another pipeline, or of none, worked with.
    """

    executions: tuple[Row, ...]
    artifacts: dict[int, Artifact]
    deleted: frozenset[int]
    used_elsewhere: frozenset[int]


def read_tables(sqlite: Path, pipeline: str) -> Tables:
    """Read the history of one pipeline, as it is at one moment.

    Args:
        sqlite: A store that has been opened: one whose file and version are as they must be.
        pipeline: The pipeline's name.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    with explained(sqlite), _reading(sqlite, pipeline) as database:
        artifacts, deleted = _artifacts(database)
        elsewhere = frozenset(one for (one,) in database.execute(_USED_ELSEWHERE))
        return Tables(tuple(_executions(database).values()), artifacts, deleted, elsewhere)


@contextmanager
def _reading(sqlite: Path, pipeline: str) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(sqlite.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
            for statement in _SELECT:
                database.execute(statement, {"pipeline": pipeline})
            yield database
    except sqlite3.Error as error:
        raise RuntimeError(str(error)) from error


def _executions(database: sqlite3.Connection) -> dict[int, Row]:
    found = {key: Row(key, state or 0, updated) for key, state, updated in database.execute(_EXECUTIONS)}
    names: dict[int, dict[str, str]] = {key: {} for key in found}
    for key, kind, name in database.execute(_CONTEXTS):
        names[key][kind] = name
    for key, row in found.items():
        row.origin = Origin.of(names[key])
    for execution, artifact, kind, name in database.execute(_EVENTS):
        row = found[execution]
        if kind == _INPUT:
            row.inputs.add(artifact)
        else:
            row.outputs.setdefault(name or "", []).append(artifact)
    return found


def _artifacts(database: sqlite3.Connection) -> tuple[dict[int, Artifact], frozenset[int]]:
    properties: dict[int, dict[str, Value]] = {}
    for key, name, whole, number, text, yes in database.execute(_PROPERTIES):
        value = whole if whole is not None else number if number is not None else text
        if value is not None or yes is not None:
            properties.setdefault(key, {})[name] = value if value is not None else bool(yes)
    artifacts, deleted = {}, set()
    for key, kind, uri, state, created in database.execute(_ARTIFACTS):
        artifacts[key] = Artifact(key, kind, uri or "", dict(sorted(properties.get(key, {}).items())), created)
        if state == _DELETED:
            deleted.add(key)
    return artifacts, frozenset(deleted)
