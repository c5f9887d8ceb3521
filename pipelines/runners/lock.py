"""One run at a time on a root."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import portalocker
from portalocker import LockFlags

from penstock.errors import EnvironmentProblem

_LOCK = ".penstock.lock"


@contextmanager
def hold(root: Path, *, wait: bool) -> Iterator[None]:
    """Hold the root for this process; the system releases it when the process ends, however it ends.

    Args:
        root: The pipeline's root; made when it is not there.
        wait: Whether to wait for a run that holds it.

    Raises:
        EnvironmentProblem: Another run holds the root, or it cannot be written.
    """
    path = root / _LOCK
    if root.exists() and not root.is_dir():
        raise EnvironmentProblem("the root is a file, not a folder", where=str(root), hint="name another root:")
    with _explained(root):
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE if wait else LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException as error:
            raise EnvironmentProblem(
                f"another run uses this root{_holder(path)}",
                where=str(root),
                hint="wait for it with --wait, or use another root",
            ) from error
        with _explained(root):
            file.truncate(0)
            file.write(json.dumps({"pid": os.getpid(), "since": time.time()}))
            file.flush()
        yield


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EnvironmentProblem(
            f"the root cannot be written: {error.strerror or error}",
            where=str(root),
            hint="free some space, name another root:, or make this one writable",
        ) from error


def _holder(file: Path) -> str:
    try:
        holder = json.loads(file.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(holder["since"]).astimezone()
        return f" (process {holder['pid']}, since {since:%H:%M:%S})"
    except (OSError, ValueError, KeyError):
        return ""  # It holds the lock but has not written who it is yet.
