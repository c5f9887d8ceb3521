"""Files that arrive in a folder, in mini-batches, each written down before it is scored.

A runner on one machine remembers nothing when it is killed, so what belongs together is kept beside the output: a batch
is written down once, scored at least once, and published once, under a name of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from glob import glob
from pathlib import Path

import portalocker

from penstock import durable
from penstock.components.batch_inference.manifest import NAME
from penstock.errors import EnvironmentProblem, PenstockError, from_dict

_HIDDEN = (".", "_")
"""What the names of files begin with that are not there yet, or are about others: ``.part``, ``_SUCCESS``."""


@dataclass(frozen=True)
class Grouping:
    """When a mini-batch is complete: at the first of these.

    Attributes:
        files: Files, a count.
        size: Their sizes together, in bytes.
        wait: Seconds that its first file has been there.
        window: Length in seconds of the windows, counted from 1970 on, that no batch extends over.
    """

    files: int = 100
    size: int = 64 << 20
    wait: float = 5.0
    window: float = 60.0

    def window_of(self, moment: float) -> float:
        """Return when the window of a moment begins, in seconds since 1970."""
        return moment - moment % self.window


@dataclass(frozen=True)
class FileBatch:
    """Files that are scored together.

    Attributes:
        name: Its own, and that of its folder in the output: the window's begin, and a number.
        files: Paths, in the order in which they were seen.
        seen: When its last file was seen, in seconds since 1970.
    """

    name: str
    files: tuple[str, ...]
    seen: float

    def parts(self) -> Iterator[FileBatch]:
        """Yield a batch for each file, with the same name each time."""
        for number, file in enumerate(self.files):
            yield FileBatch(f"{self.name}.{number:03d}", (file,), self.seen)


class Ledger:
    """What is known of the batches of one output; whoever opens the same folder knows the same.

    Args:
        output: The folder of the results.
    """

    def __init__(self, output: Path) -> None:
        self._output = output
        self._folder = output / ".stream"
        self._batches: dict[str, FileBatch] = {}
        self._published: set[str] = set()

    def prepare(self) -> None:
        """Forget the stop and the failures of an earlier stream. Called while the folder is :meth:`held`."""
        (self._folder / "batches").mkdir(exist_ok=True)
        (self._folder / "failures").mkdir(exist_ok=True)
        self._stop.unlink(missing_ok=True)
        for failure in (self._folder / "failures").iterdir():
            failure.unlink()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other streams away from this output.

        Raises:
            EnvironmentProblem: Another stream writes there.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = portalocker.Lock(str(self._folder / ".lock"), timeout=0, fail_when_locked=True)
        try:
            lock.acquire()
        except portalocker.exceptions.LockException as error:
            raise EnvironmentProblem(
                "another stream writes the same output now",
                where=str(self._output),
                hint="stop it first, or choose another output folder",
            ) from error
        try:
            yield
        finally:
            lock.release()

    def batches(self) -> Mapping[str, FileBatch]:
        """Return all batches by name, in order."""
        for path in sorted((self._folder / "batches").glob("*.json")):
            if path.stem not in self._batches:
                data = json.loads(path.read_text(encoding="utf-8"))
                self._batches[path.stem] = FileBatch(path.stem, tuple(data["files"]), data["seen"])
        return self._batches

    def add(self, window: float, files: tuple[str, ...], seen: float) -> FileBatch:
        """Write a batch down under the window's next free number."""
        begin = datetime.fromtimestamp(window, UTC).strftime("%Y%m%dT%H%M%SZ")
        number = sum(name.startswith(f"{begin}-") for name in self.batches())
        batch = FileBatch(f"{begin}-{number:03d}", files, seen)
        text = json.dumps({"files": files, "seen": seen}) + "\n"
        durable.write_text(self._folder / "batches" / f"{batch.name}.json", text)
        self._batches[batch.name] = batch
        return batch

    def place(self, batch: str) -> Path:
        """Return the folder of a batch's results."""
        return self._output / batch

    def is_published(self, batch: str) -> bool:
        """Whether the results of a batch are complete."""
        if batch not in self._published and (self.place(batch) / NAME).is_file():
            self._published.add(batch)
        return batch in self._published

    def write_failure(self, batch: str, error: PenstockError) -> None:
        """Say why a batch has no results; the next stream on this output tries it again."""
        durable.write_text(self._folder / "failures" / f"{batch}.json", json.dumps(error.to_dict()))

    def failures(self) -> dict[str, PenstockError]:
        """Return why batches have no results, in order."""
        return {
            path.stem: from_dict(json.loads(path.read_text(encoding="utf-8")))
            for path in sorted((self._folder / "failures").glob("*.json"))
        }

    def stop(self) -> None:
        """Ask the stream to end: what has arrived is still scored."""
        self._stop.touch()

    @property
    def stopping(self) -> bool:
        """Whether the stream was asked to end."""
        return self._stop.exists()

    @property
    def _stop(self) -> Path:
        return self._folder / "stop"


@dataclass
class Waiting:
    """Files that have been seen and belong to no batch yet. A file counts once two looks found it the same.

    Args:
        grouping: When a batch is complete.
    """

    grouping: Grouping
    _last: dict[str, tuple[int, int]] = field(default_factory=dict)
    _settled: dict[str, tuple[float, int]] = field(default_factory=dict)

    def see(self, found: Mapping[str, tuple[int, int]], now: float) -> None:
        """Take in what is there now.

        Args:
            found: Path → size in bytes and time of the last change in nanoseconds, of the files in no batch.
            now: Seconds since 1970.
        """
        for path, state in found.items():
            if path not in self._settled and self._last.get(path) == state:
                self._settled[path] = (now, state[0])
        self._last = dict(found)

    def complete(self, now: float, *, all_of_them: bool) -> Iterator[tuple[float, tuple[str, ...], float]]:
        """Yield window, files, and the moment at which the last was seen, of each batch that is complete now.

        Args:
            now: Seconds since 1970.
            all_of_them: Nothing more will come.
        """
        window_now = self.grouping.window_of(now)
        for window, group in self._groups():
            seen = [self._settled[path][0] for path in group]
            due = all_of_them or window < window_now or now - seen[0] >= self.grouping.wait
            if due or self._is_full(group):
                for path in group:
                    del self._settled[path]
                yield window, tuple(group), seen[-1]

    def first_seen(self) -> float | None:
        """Return when the oldest of them was seen, in seconds since 1970; None where there is none."""
        return min((seen for seen, _ in self._settled.values()), default=None)

    def _groups(self) -> list[tuple[float, list[str]]]:
        """Return the files by window, cut where a batch is full."""
        groups: list[tuple[float, list[str]]] = []
        for path, (seen, _) in self._settled.items():
            window = self.grouping.window_of(seen)
            if not groups or groups[-1][0] != window or self._is_full(groups[-1][1]):
                groups.append((window, []))
            groups[-1][1].append(path)
        return groups

    def _is_full(self, group: list[str]) -> bool:
        size = sum(self._settled[path][1] for path in group)
        return len(group) >= self.grouping.files or size >= self.grouping.size


def look(pattern: str) -> dict[str, tuple[int, int]]:
    """Return the files of a glob, oldest first: path → size in bytes and time of the last change in nanoseconds."""
    found: dict[str, tuple[int, int]] = {}
    for name in glob(pattern, recursive=True):  # noqa: PTH207  Path.glob takes no absolute pattern.
        path = Path(name)
        if path.name.startswith(_HIDDEN) or not path.is_file():
            continue
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # Moved away between the two looks.
        found[str(path.absolute())] = (stat.st_size, stat.st_mtime_ns)
    return dict(sorted(found.items(), key=lambda item: (item[1][1], item[0])))
