"""Removes old versions: only those that the Pusher published, and none that a server may need.

A version disappears as it came, in one step: it is renamed out of its number, so that no server sees half of it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from penstock.components.pusher.staging import staging_folder
from penstock.components.pusher.versions import REMOVED
from penstock.serving.manifest import MANIFEST
from penstock.serving.versions import versions

_NOTE = "Each file is the number of a version that was removed from here and is never used again.\n"


def prune(base: Path, keep: int, needed: Collection[int]) -> tuple[int, ...]:
    """Remove all but the newest versions of a base path.

    Args:
        base: TF Serving base path.
        keep: Newest versions that stay, a count.
        needed: Versions that stay besides: those that a label or a config names.

    Returns:
        The versions that were removed. One that cannot be removed is logged and stays.
    """
    removed = []
    for number in superfluous(versions(base), keep, needed):
        try:
            if not (base / str(number) / MANIFEST).is_file():
                continue  # Somebody else's.
            _remove(base, number)
        except OSError as error:
            # The push is done; a version too many harms nobody and is tried again by the next push.
            logging.getLogger(__name__).warning("cannot remove version %d: %s", number, error)
        else:
            removed.append(number)
    return tuple(removed)


def superfluous(present: Collection[int], keep: int, needed: Collection[int]) -> list[int]:
    """Return the versions that are neither among the newest ``keep`` nor needed, oldest first."""
    return [number for number in sorted(present)[:-keep] if number not in needed]


def _remove(base: Path, number: int) -> None:
    # Remembered first: a number whose version is gone must not come back as another model.
    (base / REMOVED).mkdir(exist_ok=True)
    (base / REMOVED / "README").write_text(_NOTE, encoding="utf-8")
    (base / REMOVED / str(number)).touch()
    with staging_folder(base) as aside:
        (base / str(number)).rename(aside)
