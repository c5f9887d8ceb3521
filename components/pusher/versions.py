"""The version numbers in a TF Serving base path."""

from __future__ import annotations

import re
import time
from pathlib import Path

from penstock.components.pusher.config import INT64_MAX, Version
from penstock.errors import ArtifactError

# What TensorFlow's safe_strto64 takes for a number; TF Serving loads any child of such a name.
_NUMBER = re.compile(r"\s*-?[0-9]+\s*", re.ASCII)


def versions(base: Path) -> dict[int, str]:
    """Return the version numbers present in ``base``, each with the name of its child (``{7: "007"}``)."""
    numbers = {int(child.name): child.name for child in base.iterdir() if _NUMBER.fullmatch(child.name)}
    return {number: name for number, name in numbers.items() if -INT64_MAX - 1 <= number <= INT64_MAX}


def choose(base: Path, version: Version) -> int:
    """Return the number that a new version in ``base`` gets now; another process may take it at any time.

    Raises:
        ArtifactError: The wanted version exists, or the numbers are used up.
    """
    present = versions(base)
    if isinstance(version, int):
        if version in present:
            raise exists(base / present[version], version)
        return version
    highest = max(present, default=0)
    if highest == INT64_MAX:
        raise ArtifactError(
            f"no version number is left in {base}",
            received=f"{base / present[highest]}, the largest number that TF Serving reads",
            expected=f"version numbers below {INT64_MAX}",
            hint="rename that folder, or push to another destination",
        )
    following = max(highest, 0) + 1
    return max(following, int(time.time())) if version == "timestamp" else following


def exists(path: Path, version: int) -> ArtifactError:
    """Return the error for a version number that is taken."""
    return ArtifactError(
        f"version {version} exists and is never overwritten",
        received=str(path),
        expected="a version number that is not there yet",
        hint="use `version: next`, or another number",
    )
