"""Where each label pointed before: a file beside ``models.config``, so that a rollback needs no metadata store."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from penstock.errors import EnvironmentProblem

ROLLBACK = "rollback"
"""The kind of a move that goes back; see :class:`LabelMove`."""


@dataclass(frozen=True)
class LabelMove:
    """One move of a label.

    Attributes:
        model: The model's name.
        label: The label.
        before: The version that it pointed to; None when it is new.
        after: The version that it points to since.
        kind: What moved it: ``push``, ``promote`` or ``rollback``.
        time: When, in seconds since 1970.
    """

    model: str
    label: str
    before: int | None
    after: int
    kind: str
    time: float


def history_file(config: Path) -> Path:
    """Return the path of the history that belongs to a ``models.config``."""
    return config.with_name(f"{config.name}.history")


def record_move(config: Path, move: LabelMove) -> None:
    """Append a move to the history; a crash loses that line at most.

    Raises:
        EnvironmentProblem: It cannot be written.
    """
    file = history_file(config)
    try:
        with file.open("ab+") as stream:
            # What a killed process left of its line must not swallow this one.
            torn = stream.tell() > 0 and not _ends_a_line(file)
            stream.write(b"\n" * torn + json.dumps(asdict(move)).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise EnvironmentProblem(
            f"the history of labels cannot be written: {error.strerror or error}",
            where=str(file),
            hint="free some space or make the folder writable; until then a rollback needs --to",
        ) from error


def moved(model: str, label: str, before: int | None, after: int, kind: str) -> LabelMove:
    """Return a move that happens now."""
    return LabelMove(model, label, before, after, kind, time.time())


def read_moves(config: Path, model: str) -> list[LabelMove]:
    """Return the moves of a model's labels, oldest first; none where there is no history."""
    try:
        lines = history_file(config).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise EnvironmentProblem(
            f"the history of labels cannot be read: {error.strerror or error}", where=str(history_file(config))
        ) from error
    return [move for move in map(_move, lines) if move is not None and move.model == model]


def version_before(config: Path, model: str, label: str, current: int) -> int | None:
    """Return the version that a rollback of a label goes to; None when that is not known.

    One rollback after the other walks back: what a rollback left is not gone to again.
    """
    way: list[int] = []
    for move in read_moves(config, model):
        if move.label != label:
            continue
        if move.kind == ROLLBACK:
            way = _walked_back(way, move.after)
            continue
        if move.before is not None and way[-1:] != [move.before]:
            way.append(move.before)
        way.append(move.after)
    if way[-1:] == [current]:
        way.pop()
    # Otherwise a move that nobody recorded has come after the last one that somebody did.
    return way[-1] if way else None


def named_versions(config: Path, model: str) -> set[int]:
    """Return all versions that labels of a model have ever named."""
    moves = read_moves(config, model)
    return {version for move in moves for version in (move.before, move.after) if version is not None}


def _walked_back(way: list[int], version: int) -> list[int]:
    """Return the way up to ``version``; one that is not on it takes the place of the last."""
    earlier = way[:-1]
    while earlier and earlier[-1] != version:
        earlier.pop()
    return earlier or [*way[:-1], version]


def _ends_a_line(file: Path) -> bool:
    with file.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read() == b"\n"


def _move(line: bytes) -> LabelMove | None:
    """Return the move of a line; None for what a process that was killed left of one."""
    try:
        data = json.loads(line)
        return LabelMove(**{field.name: data[field.name] for field in fields(LabelMove)})
    except (ValueError, KeyError, TypeError):
        return None
