"""Kills runs of a pipeline, lets the next run go on, and looks at what must be true then."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penstock.metadata.vocabulary import END_REASON, NODE
from penstock.serving.manifest import verify
from penstock.serving.versions import versions
from tests.pipelines.runners.killing import Kind, Order, Outcome, Runs

PIPELINE = """
pipeline: killed
root: runs
metadata: {{sqlite: {store}}}
vars: {{round: r00000}}
steps:
  rows: {{component: {steps}.rows, with: {{name: "${{vars.round}}"}}}}
  baseline: {{component: Resolver, with: {{strategy: latest, artifacts: {{model: Model}}}}}}
  search: {{component: {steps}.search}}
  train: {{component: {steps}.train, with: {{saved_model: saved_model}}}}
  measure: {{component: {steps}.measure, inputs: {{model: train.model}}}}
  watch: {{component: {steps}.watch, inputs: {{run: measure.run, model: train.model}}}}
  pusher:
    component: Pusher
    inputs: {{model: train.model}}
    with: {{destination: {{directory: "serving/killed"}}, labels: {{stable: this}}}}
"""
STEPS = ("rows", "baseline", "search", "train", "measure", "watch", "pusher")
_MODEL = {
    "saved_model.pb": b"graph",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 100,
}


@dataclass
class Findings:
    """What came of the kills.

    Attributes:
        ended: What was killed and what became of the run, counts.
        running: Steps that were at work when the run ended, counts.
        wrong: What must not be.
        told: What runs said of a full disk.
    """

    ended: Counter[str] = field(default_factory=Counter)
    running: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


class Killed:
    """A project whose pipeline is run round by round; every round has data and parameters of its own."""

    def __init__(self, folder: Path, runs: Runs, store: str = "runs/metadata.sqlite") -> None:
        self._folder = folder
        self._sqlite = folder / store
        self._runs = runs
        self._round = 0
        for name, content in _MODEL.items():
            file = folder / "saved_model" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (folder / "pyproject.toml").write_text("")
        steps = "tests.pipelines.runners.killed_steps"
        self._file = folder / "killed.yaml"
        self._file.write_text(PIPELINE.format(store=store, steps=steps))
        self.points, self.seconds = 0, 0.0
        self.undisturbed = self._undisturbed()

    @property
    def _name(self) -> str:
        return f"r{self._round:05}"

    def run(self, kind: Kind = "none", at: float = 0.0) -> Outcome:
        """Run the round; the first has no earlier model."""
        settings = (
            f"vars.round={self._name}",
            f"steps.train.with.saved_model={self._folder / 'saved_model'}",
            f"steps.baseline.enabled={str(self._round > 1).lower()}",
        )
        return self._runs.run(Order(str(self._file), settings, kind, at))

    def next_round(self) -> None:
        """Give the first step a parameter that no run has seen."""
        self._round += 1

    def _undisturbed(self) -> dict[str, Any]:
        """Return what two rounds give that nobody disturbs; the second, since the first makes the store."""
        made: dict[str, Any] = {}
        for _ in range(2):
            self.next_round()
            outcome = self.run()
            if set(outcome.states.values()) != {"ran"}:
                raise AssertionError(outcome)
            made = self.made()
            self.points, self.seconds = outcome.points, outcome.seconds
        return made

    def kill(self, kind: Kind, at: float, findings: Findings) -> None:
        """Kill a round, run it again, and add what is wrong then."""
        self.next_round()
        outcome = self.run(kind, at)
        if not outcome.killed:
            # The machine was busier when the time was taken: what comes next is to meet a run, too.
            self.seconds = min(self.seconds, outcome.seconds)
        findings.ended[f"{kind}: {'killed' if outcome.killed else 'had ended'}"] += 1
        before = self.executions()
        findings.running.update(step for step, state, _ in before if state == "RUNNING")
        finished = {step for step, state, name in before if state == "COMPLETE" and name == self._name}
        # A worker that outlives its command for a moment may still finish what it is at.
        ending = {step for step, state, name in before if state == "RUNNING" and name == self._name}
        where = f"round {self._round}, {kind} at {at:.3f}"
        findings.wrong += [f"{where}: {text}" for text in self._look(self.run(), finished, ending)]

    def fill_disk(self, disk: Path, free: int, findings: Findings) -> None:
        """Run a round with some bytes left on a disk, run it again with all, and add what is wrong then.

        Args:
            disk: A folder that is a small disk of its own: the project, or a part of it.
            free: Bytes that are left.
            findings: Added to.
        """
        self.next_round()
        filler = disk / "filler"
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(disk).free - free))
        outcome = self.run()
        where = f"round {self._round}, {free} bytes left"
        told = outcome.error or ""
        findings.told.append(f"{free}: {told}")
        findings.ended["disk: told" if told else "disk: went on"] += 1
        if told and "space" not in told:
            findings.wrong.append(f"{where}: not told as such: {told}")
        if not told and set(outcome.states.values()) != {"ran"}:
            findings.wrong.append(f"{where}: {outcome.states} without an error")
        finished = {step for step, state, name in self.executions() if state == "COMPLETE" and name == self._name}
        filler.unlink()
        findings.wrong += [f"{where}: {text}" for text in self._look(self.run(), finished)]

    def _look(self, outcome: Outcome, finished: set[str], ending: Collection[str] = ()) -> Iterator[str]:
        if outcome.error:
            yield f"the next run failed: {outcome.error}"
            return
        expected = {step: "cached" if step in finished else "ran" for step in STEPS} | {"baseline": "ran"}
        found = {step: expected[step] if step in ending else state for step, state in outcome.states.items()}
        if found != expected:
            yield f"finished were {sorted(finished)}, and the next run {outcome.states}"
        running = [step for step, state, _ in self.executions() if state not in ("COMPLETE", "CACHED", "FAILED")]
        if running:
            yield f"not closed: {running}"
        yield from (f"orphan: {path}" for path in self.orphans())
        yield from (f"failed without a reason: {step}" for step in self.unexplained())
        if self.made() != self.undisturbed:
            yield f"other artifacts: {_difference(self.undisturbed, self.made())}"

    # What is in the store and on the disk.

    def _store(self) -> Any:
        from ml_metadata.metadata_store import MetadataStore
        from ml_metadata.proto import metadata_store_pb2 as pb

        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(self._sqlite)
        # For writing, so that SQLite undoes what a killed process left half-written; a reader may not.
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE
        return MetadataStore(config)

    def executions(self) -> list[tuple[str, str, str]]:
        """Return step, state and round of each execution; a step that does not know its round has that of its input."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        if not self._sqlite.exists():
            return []
        store = self._store()
        rounds = self._rounds(store)
        return [
            (
                execution.custom_properties[NODE].string_value.partition(".")[2],
                pb.Execution.State.Name(execution.last_known_state),
                rounds.get(execution.id, ""),
            )
            for execution in store.get_executions()
        ]

    def unexplained(self) -> list[str]:
        """Return the steps of executions that failed without a reason."""
        failed = (one for one in self._store().get_executions() if one.last_known_state == one.FAILED)
        return [one.custom_properties[NODE].string_value for one in failed if END_REASON not in one.custom_properties]

    def _rounds(self, store: Any) -> dict[int, str]:
        """Return execution → the round that it belongs to, followed from the data down."""
        found: dict[int, str] = {}
        made: dict[int, str] = {}
        for execution in sorted(store.get_executions(), key=lambda execution: execution.id):
            parameters = {**execution.properties, **execution.custom_properties}
            name = parameters["name"].string_value if "name" in parameters else ""
            events = store.get_events_by_execution_ids([execution.id])
            inputs = [made.get(event.artifact_id, "") for event in events if event.type == event.INPUT]
            found[execution.id] = name or (inputs[0] if inputs else "")
            if found[execution.id]:
                made |= {event.artifact_id: found[execution.id] for event in events if event.type == event.OUTPUT}
        return found

    def orphans(self) -> list[str]:
        """Return the folders and versions that no finished execution of the store knows."""
        artifacts = self._store().get_artifacts()
        known = {artifact.uri.rstrip("/") for artifact in artifacts}
        root = self._folder / "runs"
        outputs = [path for step in STEPS for path in (root / step).glob("[!.]*/*")]
        lost = [str(path.relative_to(root)) for path in outputs if str(path) not in known]
        lost += [str(path.relative_to(root)) for path in root.glob("*/.system/stateful_working_dir/*")]
        lost += [str(path.relative_to(root)) for path in root.glob("*/.system/executor_execution/*/.temp")]
        pushed = {artifact.custom_properties["pushed_destination"].string_value for artifact in artifacts}
        base = self._folder / "serving/killed"
        lost += [path.name for path in base.iterdir() if path.name.isdigit() and str(path) not in pushed]
        return lost + [path.name for path in base.glob(".staging-*")]

    def made(self) -> dict[str, Any]:
        """Return what the round's newest artifacts hold, with the round's name left out."""
        root = self._folder / "runs"
        made: dict[str, Any] = {}
        for step in STEPS:
            for output in (root / step).glob("[!.]*"):
                newest = max((path for path in output.iterdir()), key=lambda path: int(path.name))
                for file in sorted(path for path in newest.rglob("*") if path.is_file()):
                    made[f"{step}/{output.name}/{file.relative_to(newest)}"] = self._content(file)
        base = self._folder / "serving/killed"
        newest_version = max(versions(base).values(), key=int)
        verify(base / newest_version)
        round_ = (base / newest_version / "assets/round").read_bytes()
        return {**made, "pushed": round_.replace(self._name.encode(), b"")}

    def _content(self, file: Path) -> Any:
        content = file.read_bytes()
        return content.replace(self._name.encode(), b"").replace(self._name.upper().encode(), b"")


def _difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def attack(killed: Killed, kills: int, draw: random.Random, seconds: float = float("inf")) -> Findings:
    """Kill a pipeline's runs: command, worker and all at random moments, and all at each point in turn.

    Args:
        killed: The project.
        kills: How many, a count.
        draw: For the moments.
        seconds: After which no more are begun.
    """
    findings, began = Findings(), time.monotonic()
    kinds: tuple[Kind, ...] = ("command", "point", "worker", "all")
    points = draw.sample(range(killed.points), killed.points)
    for number in range(kills):
        if time.monotonic() - began > seconds:
            break
        kind = kinds[number % len(kinds)]
        at = points[number // len(kinds) % len(points)] if kind == "point" else draw.uniform(0, killed.seconds)
        killed.kill(kind, at, findings)
    return findings


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a disk of some bytes in memory on a new folder; only root may.

    Raises:
        subprocess.CalledProcessError: It cannot be mounted.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fresh(folder: Path, runs: Runs) -> Killed:
    """Return a project in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Killed(folder, runs)
