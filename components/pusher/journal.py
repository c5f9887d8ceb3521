"""What a push is about to publish, written down: one that was killed before it was recorded is not done twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penstock import durable
from penstock.components.pusher.publish import Published
from penstock.components.pusher.staging import remove_leftovers
from penstock.components.pusher.versions import remember
from penstock.serving.manifest import MANIFEST, Manifest
from penstock.serving.versions import versions


@dataclass(frozen=True)
class Journal:
    """The note of one push into a folder.

    Attributes:
        file: Where it is kept until the push is recorded.
        push: Names what is pushed and how; another attempt at the same has the same name.
    """

    file: Path
    push: str

    def noting(self, base: Path, gate: Callable[[Path], object]) -> Callable[[Path], object]:
        """Return a gate that lets the copy through and then writes down that a version of it will be in ``base``."""

        def passing(staged: Path) -> None:
            gate(staged)
            digest = Manifest.from_bytes((staged / MANIFEST).read_bytes()).digest
            note = {"push": self.push, "digest": digest, "before": sorted(versions(base))}
            self.file.parent.mkdir(parents=True, exist_ok=True)
            durable.write_text(self.file, json.dumps(note))

        return passing

    def published(self, base: Path) -> Published | None:
        """Return the version that an earlier attempt at this push has put into ``base``; None where there is none."""
        try:
            note = json.loads(self.file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        if note["push"] != self.push:
            return None
        for number, name in sorted(versions(base).items()):
            if number not in note["before"] and _digest(base / name) == note["digest"]:
                remember(base, number)
                remove_leftovers(base)
                return Published(number, base / name, note["digest"])
        return None

    def close(self) -> None:
        """Forget the push: it is recorded."""
        self.file.unlink(missing_ok=True)


def _digest(version: Path) -> str | None:
    try:
        return Manifest.from_bytes((version / MANIFEST).read_bytes()).digest
    except (OSError, ValueError):
        return None  # Nothing that a push has put there.
