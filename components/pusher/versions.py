"""Chooses the version number of a push. A number is used once, also when its version has been removed since."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from pathlib import Path

from penstock.components.pusher.config import Version
from penstock.errors import ArtifactError
from penstock.serving.versions import INT64_MAX, version_number, versions

REMOVED = ".penstock-removed"
"""Folder in a base path with an empty file for each version that was removed, named by its number."""

USED = ".penstock-versions"
"""File in a base path with the number of each version that was published there, a line each."""


def choose(base: Path, version: Version, used: Collection[int] = ()) -> int:
    """Return the number that a new version in ``base`` gets now; another process may take it at any time.

    Args:
        base: The base path.
        version: What the new version shall be.
        used: Versions that are known, from elsewhere, to have been there.

    Raises:
        ArtifactError: The wanted version exists or has existed, or the numbers are used up.
    """
    present = {number: str(base / name) for number, name in versions(base).items()}
    return choose_among(str(base), present, {*removed(base), *remembered(base), *used}, version)


def choose_among(base: str, present: Mapping[int, str], gone: Collection[int], version: Version) -> int:
    """Do what :func:`choose` does for a base path of any kind.

    Args:
        base: What errors call it.
        present: Version → its path.
        gone: Versions that were there once.
        version: What the new one shall be.
    """
    if isinstance(version, int):
        if version in present:
            raise exists(present[version], version)
        if version in gone:
            raise exists(f"{base} had it until it was removed", version)
        return version
    highest = max([0, *present, *gone])
    if highest == INT64_MAX:
        raise ArtifactError(
            f"no version number is left in {base}",
            received=f"{present.get(highest, highest)}, the largest number that TF Serving reads",
            expected=f"version numbers below {INT64_MAX}",
            hint="rename that folder, or push to another destination",
        )
    return max(highest + 1, int(time.time())) if version == "timestamp" else highest + 1


def removed(base: Path) -> set[int]:
    """Return the versions that were in ``base`` and were removed by Penstock."""
    folder = base / REMOVED
    names = (child.name for child in folder.iterdir()) if folder.is_dir() else ()
    return {number for name in names if (number := version_number(name)) is not None}


def remember(base: Path, version: int) -> None:
    """Write down that a version was published: whoever removes its folder by hand does not free its number.

    Raises:
        OSError: It cannot be written.
    """
    with (base / USED).open("ab") as stream:
        # A line break on both sides: what a killed process left of its number must not become a part of this one.
        stream.write(b"\n%d\n" % version)
        stream.flush()
        os.fsync(stream.fileno())


def remembered(base: Path) -> set[int]:
    """Return the versions that were published to ``base``, as far as it was written down."""
    try:
        lines = (base / USED).read_text(encoding="ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    return {number for line in lines if (number := version_number(line)) is not None}


def exists(received: str | Path, version: int) -> ArtifactError:
    """Return the error for a version number that is taken."""
    return ArtifactError(
        f"version {version} exists and is never overwritten",
        received=str(received),
        expected="a version number that was not there yet",
        hint="use `version: next`, or another number",
    )
