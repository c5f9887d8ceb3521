"""The folder in which a run keeps what it has finished, until all of it becomes the output in one step.

Workers share nothing but this folder: a shard is finished when its report is there, and the report comes after the
files. A run that was killed is taken up by the next of the same fingerprint: finished shards stay, others begin anew.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import portalocker

from penstock import durable
from penstock.components.batch_inference.shards import Shard
from penstock.errors import ConfigError, EnvironmentProblem, PenstockError, from_dict

_RUN = "run.json"
_LOCK = ".lock"


@dataclass(frozen=True)
class Work:
    """A run's folder, as every worker sees it.

    Attributes:
        folder: Where it is.
        shards: How many shards the run has, a count.
        suffix: What the names of result files end with.
    """

    folder: str
    shards: int
    suffix: str

    @property
    def output(self) -> Path:
        """The folder that becomes the output."""
        return Path(self.folder, "output")

    def results(self, index: int) -> Path:
        """Return the result file of a shard."""
        return self.output / f"prediction.results-{index:05d}-of-{self.shards:05d}{self.suffix}"

    def errors(self, index: int) -> Path:
        """Return the errors file of a shard, which is there only if it has errors."""
        return self.output / f"prediction.errors-{index:05d}-of-{self.shards:05d}.jsonl"

    def partial(self, final: Path) -> Path:
        """Return a path to write a file at: nobody else's, even if a runner tries a shard twice at the same time."""
        return self._part("partial") / f"{os.getpid()}-{uuid.uuid4().hex}-{final.name}"

    def report(self, index: int) -> Mapping[str, Any] | None:
        """Return what a finished shard has reported, None if it is not finished."""
        return _read(self._part("reports") / f"{index:05d}.json")

    def write_report(self, index: int, report: Mapping[str, Any]) -> None:
        """Say that a shard is finished."""
        durable.write_text(self._part("reports") / f"{index:05d}.json", json.dumps(report), alone=False)

    def write_progress(self, index: int, progress: Mapping[str, Any]) -> None:
        """Say how far a shard is."""
        path = self._part("progress") / f"{index:05d}.json"
        partial = self.partial(path)
        # Not flushed to the disk: after a crash nobody asks how far it was.
        partial.write_text(json.dumps(progress), encoding="utf-8")
        partial.replace(path)

    def progress(self, index: int) -> Mapping[str, Any] | None:
        """Return how far a shard is, None if it has not begun."""
        return _read(self._part("progress") / f"{index:05d}.json")

    def write_failure(self, error: PenstockError) -> None:
        """Keep an error as it is: runners pass on its text at best."""
        path = self._part("failures") / f"{uuid.uuid4().hex}.json"
        durable.write_text(path, json.dumps(error.to_dict()), alone=False)

    def failure(self) -> PenstockError | None:
        """Return the first error that a worker has kept."""
        files = sorted(self._part("failures").glob("[!.]*.json"), key=lambda path: path.stat().st_mtime_ns)
        return from_dict(json.loads(files[0].read_text(encoding="utf-8"))) if files else None

    def finished(self, shards: Sequence[Shard]) -> int:
        """Return how many shards are finished, a count."""
        return sum(self.report(shard.index) is not None for shard in shards)

    def prepare(self) -> None:
        """Make the folders, and forget how far and how badly the last attempt went."""
        for name in ("partial", "progress", "failures"):
            shutil.rmtree(Path(self.folder, name), ignore_errors=True)
        for name in ("output", "partial", "reports", "progress", "failures"):
            Path(self.folder, name).mkdir(parents=True, exist_ok=True)

    def _part(self, name: str) -> Path:
        return Path(self.folder, name)


def _read(path: Path) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return found


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Keep other runs out of a work folder, which is made.

    Raises:
        EnvironmentProblem: Another run is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = portalocker.Lock(str(folder / _LOCK), timeout=0, fail_when_locked=True)
    try:
        lock.acquire()
    except portalocker.exceptions.LockException as error:
        raise EnvironmentProblem(
            "another run writes the same output now",
            where=str(folder),
            hint="wait until it has ended, or choose another output folder",
        ) from error
    try:
        yield
    finally:
        lock.release()


def begin(work: Work, fingerprint: str) -> bool:
    """Make the folder ready for a run, and return whether it goes on from an earlier attempt.

    What an attempt of another fingerprint has left is removed.
    """
    folder = Path(work.folder)
    run = _read(folder / _RUN)
    goes_on = run is not None and run.get("fingerprint") == fingerprint
    if not goes_on:
        for name in ("output", "reports"):
            shutil.rmtree(folder / name, ignore_errors=True)
    work.prepare()
    durable.write_text(folder / _RUN, json.dumps({"fingerprint": fingerprint}))
    return goes_on


def publish(work: Work, output: Path) -> None:
    """Let the finished output appear under its name, in one step; an earlier one is removed.

    Raises:
        EnvironmentProblem: It cannot be renamed.
    """
    durable.sync_tree(work.output)
    try:
        if output.is_dir() and any(output.iterdir()):
            durable.rename_over(work.output, output)
        else:
            work.output.rename(output)  # An empty folder of that name gives way.
            durable.sync(output.parent)
    except OSError as error:
        raise EnvironmentProblem(
            f"the output cannot be renamed: {error.strerror}",
            where=str(output),
            expected=f"a path on the file system of {work.folder}",
        ) from error
    remove(work)


def remove(work: Work) -> None:
    """Remove a work folder; what cannot be removed does no harm."""
    shutil.rmtree(work.folder, ignore_errors=True)


def require_free(output: Path, manifest: str) -> None:
    """Refuse an output folder that holds what no batch inference has written.

    Raises:
        ConfigError: It does, or is a file.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError("the output is a file", where=str(output), expected="a folder, or a path that is free")
    if output.is_dir() and not (output / manifest).is_file() and (found := sorted(p.name for p in output.iterdir())):
        raise ConfigError(
            "the output folder holds other files, and they stay",
            where=str(output),
            received=", ".join(found[:5]) + (", …" if len(found) > 5 else ""),
            expected=f"a path that is free, an empty folder, or one with {manifest}",
        )
