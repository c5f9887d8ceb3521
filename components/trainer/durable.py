"""Files that are still there after the power fails."""

from __future__ import annotations

import os
import shutil
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


def write_beside(path: Path, write: Callable[[Path], object]) -> None:
    """Publish a file in one step: it is written beside, flushed and renamed.

    Args:
        path: The file; its folder is made if need be. A file of that name is replaced.
        write: Writes the file whose path it is given, which ends as ``path`` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    write(partial)
    sync(partial)
    partial.rename(path)
    sync(path.parent)
