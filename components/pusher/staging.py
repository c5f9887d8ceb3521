"""Folders in a base path that TF Serving does not look into, where a model is put together before it is published."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.processes import machine, started
from penstock.serving.manifest import walk

LEFTOVER_AGE = 24 * 3600
"""Seconds without any change after which the staging folder of a push elsewhere counts as abandoned."""

_NAME = re.compile(r"\.staging-[0-9a-f]{32}")
_MARKER = "penstock-staging"
_MARKER_TEXT = "A push puts its model together here. Abandoned ones are removed by the next push.\n"


@contextmanager
def staging_folder(base: Path) -> Iterator[Path]:
    """Yield the path of a folder to be made by the caller, inside a hidden one that is removed afterwards."""
    staging = base / f".staging-{uuid.uuid4().hex}"
    staging.mkdir()
    try:
        (staging / _MARKER).write_text(f"{_MARKER_TEXT}{_process(os.getpid())}\n", encoding="utf-8")
        yield staging / "model"
    finally:
        # What cannot be removed now must not hide the outcome of the push; a later push removes it.
        shutil.rmtree(staging, ignore_errors=True)


def remove_leftovers(base: Path) -> None:
    """Remove the staging folders of pushes that were killed: those of our name, with our marker.

    The marker names the process. One of this machine that is gone has left its folder; one of another machine when
    nothing has changed for a day.
    """
    for child in base.iterdir():
        try:
            if _is_ours(child) and (_is_over(child) or time.time() - _last_change(child) > LEFTOVER_AGE):
                shutil.rmtree(child)
        except FileNotFoundError:
            # Another push, the folder's own or one that tidies up as well, has just removed it.
            continue
        except OSError as error:
            logging.getLogger(__name__).warning("cannot remove the leftover of a push: %s", error)


def _is_ours(path: Path) -> bool:
    if not _NAME.fullmatch(path.name) or path.is_symlink() or not path.is_dir():
        return False
    return _marked(path).startswith(_MARKER_TEXT)


def _is_over(staging: Path) -> bool:
    """Whether the process that made the folder is known to have ended."""
    name, _, ticks = _marked(staging).removeprefix(_MARKER_TEXT).strip().rpartition(" ")
    where, _, pid = name.rpartition(" ")
    return where == machine() and pid.isdigit() and str(started(int(pid))) != ticks


def _marked(staging: Path) -> str:
    marker = staging / _MARKER
    return marker.read_text(encoding="utf-8", errors="replace") if marker.is_file() else ""


def _process(pid: int) -> str:
    return f"{machine()} {pid} {started(pid)}"


def _last_change(folder: Path) -> float:
    """Return when anything in the folder was last changed, in seconds since 1970; a push in progress is recent."""
    return max(path.lstat().st_mtime for path in (folder, *(path for _, path in walk(folder))))
