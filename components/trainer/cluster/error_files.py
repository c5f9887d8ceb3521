"""How a task tells the launcher why it failed: a JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from penstock.durable import write_text
from penstock.errors import EnvironmentProblem, PenstockError, from_dict

ERROR_VARIABLE = "PENSTOCK_ERROR_FILE"


@dataclass(frozen=True)
class TaskError:
    """What a task said about its failure.

    Args:
        error: The error.
        peer_lost: The task failed only because another one was gone: a connection was lost, a collective aborted.
    """

    error: PenstockError
    peer_lost: bool = False


def record_error(told: TaskError, environ: Mapping[str, str] = os.environ) -> None:
    """Leave an error for the launcher; the process should then end with an exit code other than 0.

    Does nothing in a process that Penstock's launcher did not start: there errors are raised as any other.
    """
    if ERROR_VARIABLE in environ:
        text = json.dumps({"error": told.error.to_dict(), "peer_lost": told.peer_lost})
        path = Path(environ[ERROR_VARIABLE])
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)


def read_error(path: Path) -> TaskError | None:
    """Return the error that a task left, or None if it left none.

    Raises:
        EnvironmentProblem: The file is damaged.
    """
    if not path.exists():
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return TaskError(from_dict(data["error"]), peer_lost=data["peer_lost"])
    except (ValueError, KeyError, TypeError) as error:
        raise EnvironmentProblem(
            f"a task failed, and the file that says why is damaged: {type(error).__name__}: {error}",
            where=str(path),
            hint="see the task's log",
        ) from error
