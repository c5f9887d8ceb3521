"""Folders in a base path that TF Serving does not look into, where a model is put together before it is published."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.processes import machine, started
from penstock.serving.manifest import walk

LEFTOVER_AGE = 24 * 3600
"""Seconds without any change after which the staging folder of a push elsewhere counts as abandoned."""

_NAME = re.compile(r"\.staging-(?P<machine>[0-9a-f]{8})(?P<pid>[0-9a-f]{6})(?P<ticks>[0-9a-f]{12})[0-9a-f]{6}")
"""Says which process made the folder: a file inside would come, and go, a moment later than the folder itself."""
_MARKER = "penstock-staging"
_MARKER_TEXT = "A push puts its model together here. Abandoned ones are removed by the next push.\n"


@contextmanager
def staging_folder(base: Path) -> Iterator[Path]:
    """Yield the path of a folder to be made by the caller, inside a hidden one that is removed afterwards."""
    staging = base / _name()
    staging.mkdir()
    try:
        (staging / _MARKER).write_text(_MARKER_TEXT, encoding="utf-8")
        yield staging / "model"
    finally:
        # What cannot be removed now must not hide the outcome of the push; a later push removes it.
        shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(base: Path) -> None:
    """Remove the staging folders of pushes that were killed.

    One that a process of this machine made is left over when that process is gone; one of another machine, which has
    our marker in it, when nothing has changed for a day.
    """
    for child in base.iterdir():
        try:
            if _is_left_over(child):
                shutil.rmtree(child)
        except FileNotFoundError:
            # Another push, the folder's own or one that tidies up as well, has just removed it.
            continue
        except OSError as error:
            logging.getLogger(__name__).warning("cannot remove the leftover of a push: %s", error)


def _is_left_over(path: Path) -> bool:
    name = _NAME.fullmatch(path.name)
    if name is None or path.is_symlink() or not path.is_dir():
        return False
    if name["machine"] == _machine():
        return started(int(name["pid"], 16)) != int(name["ticks"], 16)
    return _is_marked(path) and time.time() - _last_change(path) > LEFTOVER_AGE


def _is_marked(staging: Path) -> bool:
    marker = staging / _MARKER
    return marker.is_file() and marker.read_text(encoding="utf-8", errors="replace").startswith(_MARKER_TEXT)


def _name() -> str:
    pid = os.getpid()
    return f".staging-{_machine()}{pid:06x}{started(pid) or 0:012x}{secrets.token_hex(3)}"


def _machine() -> str:
    return hashlib.sha256(machine().encode()).hexdigest()[:8]


def _last_change(folder: Path) -> float:
    """Return when anything in the folder was last changed, in seconds since 1970; a push in progress is recent."""
    return max(path.lstat().st_mtime for path in (folder, *(path for _, path in walk(folder))))
