"""Files that are still there after the power fails."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path


def sync_tree(folder: Path) -> None:
    """Flush all files and folders below a folder, and itself, to the disk."""
    for path in sorted(folder.rglob("*"), reverse=True):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Flush one file, or the entries of one folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_over(partial: Path, final: Path) -> None:
    """Give a folder that has been flushed its final name; a folder of that name is removed."""
    if final.exists():
        remove_tree(final)
    partial.rename(final)
    sync(final.parent)


def remove_tree(folder: Path) -> None:
    """Remove a folder; whoever looks for its name finds all of it or nothing."""
    gone = folder.with_name(f".partial-old-{folder.name}")
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone)


def write_beside(path: Path, write: Callable[[Path], object], *, alone: bool = True) -> None:
    """Publish a file in one step: it is written beside, flushed and renamed; what fails leaves nothing there.

    Args:
        path: The file, in a folder that is there. A file of that name is replaced.
        write: Writes the file whose path it is given, which ends as ``path`` does.
        alone: Nobody else writes this file now, so that what a killed process left beside it may be written over.
            Otherwise every writer has a file of its own, and the last to finish wins.

    Raises:
        OSError: It cannot be written.
    """
    own = "" if alone else f"{os.getpid()}-{threading.get_ident()}-"
    partial = path.with_name(f".partial-{own}{path.name}")
    try:
        write(partial)
        sync(partial)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent)


def write_text(path: Path, text: str, *, alone: bool = True) -> None:
    """Publish a text file (UTF-8) as :func:`write_beside` does."""
    write_beside(path, lambda partial: partial.write_text(text, encoding="utf-8"), alone=alone)
