"""One run at a time on a root."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import fasteners

from penstock.errors import EnvironmentProblem

_NAME = ".penstock.lock"


@contextmanager
def hold(root: Path, *, wait: bool) -> Iterator[None]:
    """Hold the root for this process; the system releases it when the process ends, however it ends.

    Args:
        root: The pipeline's root; made when it is not there.
        wait: Whether to wait for a run that holds it.

    Raises:
        EnvironmentProblem: Another run holds the root, or it cannot be written.
    """
    path = root / _NAME
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = fasteners.InterProcessLock(path)
        held = lock.acquire(blocking=wait)
    except OSError as error:
        raise EnvironmentProblem(
            f"the root cannot be written: {error.strerror or error}",
            where=str(root),
            hint="name another root:, or make this one writable",
        ) from error
    if not held:
        raise EnvironmentProblem(
            f"another run uses this root{_holder(path)}",
            where=str(root),
            hint="wait for it with --wait, or use another root",
        )
    try:
        path.write_text(json.dumps({"pid": os.getpid(), "since": time.time(), "command": sys.argv}), encoding="utf-8")
        yield
    finally:
        lock.release()


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromtimestamp(holder["since"]).astimezone()
        return f" (process {holder['pid']}, since {since:%H:%M:%S})"
    except (OSError, ValueError, KeyError):
        return ""  # It holds the lock but has not written who it is yet.
