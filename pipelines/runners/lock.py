"""One run at a time on a root."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import portalocker
from portalocker import LockFlags

from penstock.errors import EnvironmentProblem
from penstock.metadata.owners import Owner
from penstock.processes import started

LOCK = ".penstock.lock"
IN_USE = "another run uses this root"
"""What the error begins with that says so."""
_WORKERS = ".penstock.workers"
_IDENTITY = re.compile(r"[0-9a-f]{32}\n")
_LINGER_SECONDS = 10.0
_POLL_SECONDS = 0.02


@contextmanager
def hold(root: Path, *, wait: bool, tell: Callable[[str], object] | None = None) -> Iterator[str]:
    """Hold the root for this process; the system releases it when the process ends, however it ends.

    Args:
        root: The pipeline's root; made when it is not there.
        wait: Whether to wait for a run that holds it.
        tell: Told, in one line, whom it waits for; nobody where nothing is given.

    Yields:
        The lock's identity, which stays with the root.

    Raises:
        EnvironmentProblem: Another run holds the root, or it cannot be written.
    """
    path = root / LOCK
    if root.exists() and not root.is_dir():
        raise EnvironmentProblem("the root is a file, not a folder", where=str(root), hint="name another root:")
    with _explained(root):
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    with file:
        try:
            _take(file, path, wait=wait, tell=tell or (lambda _: None))
        except portalocker.LockException as error:
            raise EnvironmentProblem(
                f"{IN_USE}{_holder(path)}",
                where=str(root),
                hint="wait for it with --wait, or use another root",
            ) from error
        with _explained(root):
            identity = _sign(file)
            _outlast_workers(root / _WORKERS)
        yield identity


def identity(root: Path) -> str | None:
    """Return the identity of a root's lock; None where no run has held it."""
    try:
        with (root / LOCK).open(encoding="utf-8") as file:
            found = file.readline()
    except OSError:
        return None
    return found.strip() if _IDENTITY.fullmatch(found) else None


@contextmanager
def working(owner: Owner) -> Iterator[None]:
    """Mark this process as a worker of a run; the run after it waits for such processes before it looks at anything.

    Raises:
        EnvironmentProblem: The run is over; nothing may be written any more.
    """
    with (Path(owner.root) / _WORKERS).open("a+", encoding="utf-8") as file:
        # A lock of the process, not of the open file: what the step leaves running does not hold it.
        fcntl.lockf(file, fcntl.LOCK_SH)
        if not owner.alive():
            raise EnvironmentProblem("the run that started this step is over", where=owner.root)
        yield


def _take(file: TextIOWrapper, path: Path, *, wait: bool, tell: Callable[[str], object]) -> None:
    """Lock the file; where who holds it has ended, wait a moment for processes of it that have not.

    Raises:
        portalocker.LockException: Another run holds it.
    """
    deadline = time.monotonic() + _LINGER_SECONDS
    while True:
        try:
            portalocker.lock(file, LockFlags.EXCLUSIVE | LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            if wait:
                tell(f"waiting for another run that uses this root{_holder(path)}")
                portalocker.lock(file, LockFlags.EXCLUSIVE)
                return
            holder = _written(path).get("pid")
            if not isinstance(holder, int) or started(holder) is not None or time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        else:
            return


def _sign(file: TextIOWrapper) -> str:
    """Write who holds the lock behind its identity, which is made once; return the identity."""
    file.seek(0)
    identity = file.readline()
    if not _IDENTITY.fullmatch(identity):
        identity = f"{uuid.uuid4().hex}\n"
        file.truncate(0)
        file.write(identity)
        file.flush()
        os.fsync(file.fileno())
    file.truncate(len(identity))
    file.write(json.dumps({"pid": os.getpid(), "since": time.time()}))
    file.flush()
    return identity.strip()


def _outlast_workers(path: Path) -> None:
    """Wait until no worker of an earlier run is left: they end with their command, a moment after it."""
    deadline = time.monotonic() + _LINGER_SECONDS
    with path.open("a", encoding="utf-8") as file:
        while True:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    # It cannot end for now, so it writes nothing either.
                    logging.getLogger(__name__).warning("a worker of an earlier run does not end: %s", path)
                    return
                time.sleep(_POLL_SECONDS)
            else:
                return


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
    holder = _written(file)
    if not holder:
        return ""
    since = datetime.fromtimestamp(holder["since"]).astimezone()
    return f" (process {holder['pid']}, since {since:%H:%M:%S})"


def _written(file: Path) -> dict[str, Any]:
    """Return what the holder of a lock says of itself; nothing where it has not written it yet."""
    try:
        holder = json.loads(file.read_text(encoding="utf-8").partition("\n")[2])
    except (OSError, ValueError):
        return {}
    return holder if isinstance(holder, dict) and {"pid", "since"} <= holder.keys() else {}
