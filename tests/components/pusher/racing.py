"""Many processes that push the same versions at the same time: ``python -m tests.components.pusher.racing``."""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

from penstock.components.pusher.publish import publish
from penstock.errors import ArtifactError


@dataclass(frozen=True)
class Race:
    """What came of a race.

    Attributes:
        winners: Version → how many processes say that they published it.
        told: Version → how many were told that it exists.
        others: Any other end of a push.
    """

    winners: dict[int, int]
    told: dict[int, int]
    others: list[str]


def race(model: Path, base: Path, processes: int, versions: int) -> Race:
    """Let ``processes`` push versions 1 to ``versions``, all of them the same one at the same moment."""
    command = [sys.executable, "-m", __name__, str(model), str(base), str(processes), str(versions)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    ends = [tuple(end) for end in json.loads(ended.stdout)]
    return Race(
        winners=dict(Counter(version for version, end in ends if end == "won")),
        told=dict(Counter(version for version, end in ends if end == "told")),
        others=[f"{version}: {end}" for version, end in ends if end not in ("won", "told")],
    )


def _compete(model: Path, base: Path, versions: int, start: Barrier, ends: Any) -> None:
    mine = []
    for version in range(1, versions + 1):
        start.wait()
        try:
            publish(model, base, version)
            mine.append((version, "won"))
        except ArtifactError as error:
            told = error.what == f"version {version} exists and is never overwritten"
            mine.append((version, "told" if told else str(error)))
        except Exception as error:  # noqa: BLE001  Whatever it is, it is the test's to judge.
            mine.append((version, repr(error)))
    ends.put(mine)


def main() -> None:
    """Race and print how each push ended."""
    model, base, processes, versions = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    context = multiprocessing.get_context("fork")
    start, ends = context.Barrier(processes), context.Queue()
    base.mkdir(parents=True, exist_ok=True)
    racers = [context.Process(target=_compete, args=(model, base, versions, start, ends)) for _ in range(processes)]
    for racer in racers:
        racer.start()
    found = [end for _ in racers for end in ends.get()]
    for racer in racers:
        racer.join()
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
