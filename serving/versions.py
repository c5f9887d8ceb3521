"""The version numbers in a TF Serving base path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

INT64_MAX = 2**63 - 1

# What TensorFlow's safe_strto64 takes for a number; TF Serving loads any child of such a name. Leading zeros stand
# apart, because Python refuses to read very long numbers.
_NUMBER = re.compile(r"\s*([+-]?)0*([0-9]{1,19})\s*", re.ASCII)


def version_number(name: str) -> int | None:
    """Return the version that a child of a base path is by its name (``"007"`` is 7); None for any other name."""
    match = _NUMBER.fullmatch(name)
    if not match:
        return None
    number = int("".join(match.groups()))
    return number if -INT64_MAX - 1 <= number <= INT64_MAX else None


def versions(base: Path) -> dict[int, str]:
    """Return the version numbers present in ``base``, each with the name of its child (``{7: "007"}``).

    Of several names for one number the last in the order of bytes counts, as in TF Serving.
    """
    return index(child.name for child in base.iterdir())


def index(names: Iterable[str]) -> dict[int, str]:
    """Return what :func:`versions` does, for names of children that were listed already."""
    numbers = ((version_number(name), name) for name in sorted(names, key=os.fsencode))
    return {number: name for number, name in numbers if number is not None}
