"""What a run has finished, until all of it becomes the output in one step.

Workers share nothing but a store: a shard is finished when its report is there, and the report comes after the files.
A run that was killed is taken up by the next of the same fingerprint: finished shards stay, others begin anew.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.components.batch_inference.places import Place, Url
from penstock.components.batch_inference.remote_files import matching
from penstock.components.batch_inference.store import Store
from penstock.errors import ConfigError, PenstockError, from_dict

OUTPUT = "output"
"""The folder of the store that becomes the output."""
_PREFIX = "prediction."
"""What the names of all files of an output begin with."""
_RUN = "run.json"
_SHOWN = 5


@dataclass(frozen=True)
class Work:
    """A run's folder, as every worker sees it.

    Attributes:
        store: Where it is.
        shards: How many shards the run has, a count.
        suffix: What the names of result files end with.
    """

    store: Store
    shards: int
    suffix: str

    @property
    def output(self) -> str:
        """Where the files are that become the output."""
        return f"{self.store.where}/{OUTPUT}"

    def results(self, index: int) -> str:
        """Return the name of a shard's result file."""
        return f"{_PREFIX}results-{index:05d}-of-{self.shards:05d}{self.suffix}"

    def errors(self, index: int) -> str:
        """Return the name of a shard's errors file, which is there only if it has errors."""
        return f"{_PREFIX}errors-{index:05d}-of-{self.shards:05d}.jsonl"

    def partial(self, name: str) -> Path:
        """Return a path to write a file at: nobody else's, even if a runner tries a shard twice at the same time."""
        return self.store.partial(name)

    def keep(self, made: Path, name: str) -> None:
        """Take a file that is complete among those that become the output."""
        self.store.keep(made, f"{OUTPUT}/{name}")

    def report(self, index: int) -> Mapping[str, Any] | None:
        """Return what a finished shard has reported, None if it is not finished."""
        return _json(self.store.read(f"reports/{index:05d}.json"))

    def write_report(self, index: int, report: Mapping[str, Any]) -> None:
        """Say that a shard is finished."""
        self.store.write(f"reports/{index:05d}.json", json.dumps(report).encode())

    def write_progress(self, index: int, progress: Mapping[str, Any]) -> None:
        """Say how far a shard is."""
        # Not flushed to the disk: after a crash nobody asks how far it was.
        self.store.write(f"progress/{index:05d}.json", json.dumps(progress).encode(), lasting=False)

    def progress(self, index: int) -> Mapping[str, Any] | None:
        """Return how far a shard is, None if it has not begun."""
        return _json(self.store.read(f"progress/{index:05d}.json"))

    def write_failure(self, error: PenstockError) -> None:
        """Keep an error as it is: runners pass on its text at best."""
        name = f"failures/{time.time_ns():020d}-{uuid.uuid4().hex}.json"
        self.store.write(name, json.dumps(error.to_dict()).encode())

    def failure(self) -> PenstockError | None:
        """Return the first error that a worker has kept."""
        for name in self.store.names("failures"):
            if (found := _json(self.store.read(f"failures/{name}"))) is not None:
                return from_dict(dict(found))
        return None

    def finished(self) -> frozenset[int]:
        """Return the shards that are finished."""
        return frozenset(int(name.partition(".")[0]) for name in self.store.names("reports"))

    def begun(self) -> frozenset[int]:
        """Return the shards that somebody has begun with in this attempt."""
        return frozenset(int(name.partition(".")[0]) for name in self.store.names("progress"))


def begin(work: Work, fingerprint: str) -> bool:
    """Make the folder ready for a run, and return whether it goes on from an earlier attempt.

    What an attempt of another fingerprint has left is removed.
    """
    run = _json(work.store.read(_RUN))
    goes_on = run is not None and run.get("fingerprint") == fingerprint and _has_what_it_reports(work)
    if not goes_on:
        work.store.clear(OUTPUT, "reports")
    # How far and how badly the last attempt went is forgotten.
    work.store.clear("progress", "failures")
    work.store.write(_RUN, json.dumps({"fingerprint": fingerprint}).encode())
    return goes_on


def _has_what_it_reports(work: Work) -> bool:
    """Whether the files of finished shards are there: an attempt that was killed once it had published has none."""
    there = set(work.store.names(OUTPUT))
    return all(work.results(index) in there for index in work.finished())


def require_free(output: Place, manifest: str) -> None:
    """Refuse an output folder that holds what no batch inference has written.

    Raises:
        ConfigError: It does, or is a file.
    """
    if isinstance(output, Url):
        if "/" not in output.text.partition("://")[2]:
            raise ConfigError(
                "the output is a whole bucket", where=str(output), expected=f"a folder in it: {output}/name"
            )
        found = sorted(url.removeprefix(f"{output}/") for url in matching(f"{output}/*"))
        # Without the manifest: what a run has left that was killed while it published.
        _refuse([name for name in found if not name.startswith(_PREFIX)], output, manifest)
        return
    if output.exists() and not output.is_dir():
        raise ConfigError("the output is a file", where=str(output), expected="a folder, or a path that is free")
    if output.is_dir() and not (output / manifest).is_file():
        _refuse(sorted(child.name for child in output.iterdir()), output, manifest)


def _refuse(found: Sequence[str], output: Place, manifest: str) -> None:
    if found:
        raise ConfigError(
            "the output folder holds other files, and they stay",
            where=str(output),
            received=", ".join(found[:_SHOWN]) + (", …" if len(found) > _SHOWN else ""),
            expected=f"a path that is free, an empty folder, or one with {manifest}",
        )


def _json(content: bytes | None) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None if content is None else json.loads(content)
    return found
