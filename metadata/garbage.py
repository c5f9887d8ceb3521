"""Which outputs nothing refers to any more: no recent run, no version, no label, nothing that these were made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from penstock.metadata.lineage import PUSHED_MODEL
from penstock.metadata.owners import Owner
from penstock.metadata.records import Artifact, Origin, artifact_record
from penstock.metadata.scan import Scan
from penstock.metadata.vocabulary import OWNER

Labels = Mapping[str, Mapping[str, str]]
"""Model → label → version, as text."""
_BLESSED = ("ModelBlessing", "TFLiteModel")
GARBAGE = "no run that is kept, no version and no label refers to it"
INTERRUPTED = "marked as deleted; the gc that was to remove it was interrupted"


@dataclass(frozen=True)
class Work:
    """An execution that made something: it is reused as a whole, and so it goes or stays as a whole.

    Attributes:
        id: Its id.
        origin: Its pipeline, run and step.
        ended: When it was recorded last, milliseconds since 1970.
        inputs: Ids of the artifacts that fed it.
        outputs: Output name → the artifacts that it made.
        deleted: Whether its outputs are marked as deleted already.
        owner: The run that started it; None where it says none.
    """

    id: int
    origin: Origin
    ended: int
    inputs: frozenset[int]
    outputs: Mapping[str, tuple[Artifact, ...]]
    deleted: bool
    owner: Owner | None

    def all_outputs(self) -> list[Artifact]:
        """Return all that it made."""
        return [artifact for found in self.outputs.values() for artifact in found]


@dataclass(frozen=True)
class Judged:
    """Whether some work is kept, and why."""

    work: Work
    kept: bool
    reason: str


@dataclass
class _History:
    """All executions of a pipeline, as far as it matters here."""

    works: dict[int, Work] = field(default_factory=dict)
    makers: dict[int, int] = field(default_factory=dict)
    runs: dict[str, set[int]] = field(default_factory=dict)
    ended_well: dict[str, bool] = field(default_factory=dict)
    held: set[int] = field(default_factory=set)


def judge(scan: Scan, keep_runs: int, labels: Labels, is_there: Callable[[str], bool]) -> list[Judged]:
    """Return for everything that a pipeline made whether it is kept, oldest first.

    Kept is what belongs to one of the newest runs or to the newest that ended well; a version that is still where it
    was pushed to, and one that a label points to; the newest blessed model of each step; the newest outputs of each
    step, which look-ups and partial runs begin with; what works at the moment; what another pipeline used; and all
    that any of these was made of.

    Args:
        scan: The pipeline's part of the store.
        keep_runs: How many of the newest runs are kept.
        labels: Where labels point.
        is_there: Whether something is at the place that a version was pushed to; True where nobody can tell.
    """
    history = _read(scan)
    reasons = _Reasons(history)
    for run in _newest_runs(history, keep_runs):
        reasons.keep_artifacts(history.runs[run], f"run {run}")
    reasons.keep_artifacts(history.held, "a step that has not ended")
    for work in history.works.values():
        for artifact in work.all_outputs():
            why = _pushed(artifact, labels, is_there)
            if why:
                reasons.keep_artifacts([artifact.id], why)
    for work, why in (*_newest_blessed(history.works.values()), *_newest(history.works.values())):
        reasons.keep(work.id, why)
    _keep_used_elsewhere(scan, history, reasons)
    return [_judged(work, reasons.found.get(work.id)) for work in history.works.values()]


def _judged(work: Work, reason: str | None) -> Judged:
    if work.deleted:
        return Judged(work, kept=False, reason=INTERRUPTED)
    return Judged(work, kept=reason is not None, reason=reason or GARBAGE)


class _Reasons:
    """Why each execution is kept; the first reason stands."""

    def __init__(self, history: _History) -> None:
        self.found: dict[int, str] = {}
        self._history = history

    def keep_artifacts(self, artifacts: Iterable[int], reason: str) -> None:
        for artifact in artifacts:
            if artifact in self._history.makers:
                self.keep(self._history.makers[artifact], reason)

    def keep(self, execution: int, reason: str) -> None:
        """Keep what an execution made, and all that it was made of."""
        waiting = [execution]
        while waiting:
            key = waiting.pop()
            if key in self.found or key not in self._history.works:
                continue
            self.found[key] = reason
            inputs = self._history.works[key].inputs
            waiting += [self._history.makers[one] for one in inputs if one in self._history.makers]


def _read(scan: Scan) -> _History:
    from ml_metadata.proto import metadata_store_pb2 as pb

    history = _History()
    raw: dict[int, tuple[Any, Origin, frozenset[int], dict[str, list[int]]]] = {}
    for page in scan.pages():
        for execution in page.executions:
            origin = page.origin(execution.id)
            inputs, outputs = _links(page.events[execution.id])
            touched = inputs.union(*outputs.values())
            history.runs.setdefault(origin.run, set()).update(touched)
            well = execution.last_known_state in (pb.Execution.COMPLETE, pb.Execution.CACHED)
            history.ended_well[origin.run] = history.ended_well.get(origin.run, True) and well
            if execution.last_known_state in (pb.Execution.RUNNING, pb.Execution.NEW):
                history.held |= touched
            elif execution.last_known_state != pb.Execution.CACHED and outputs:
                raw[execution.id] = (execution, origin, inputs, outputs)
                for key in (key for ids in outputs.values() for key in ids):
                    history.makers.setdefault(key, execution.id)
    history.runs.pop("", None)
    artifacts = {one.id: one for one in scan.artifacts(history.makers)}
    for key, (execution, origin, inputs, outputs) in raw.items():
        made = {name: [artifacts[one] for one in ids if history.makers[one] == key] for name, ids in outputs.items()}
        states = {one.state for found in made.values() for one in found}
        history.works[key] = Work(
            id=key,
            origin=origin,
            ended=execution.last_update_time_since_epoch,
            inputs=inputs,
            outputs={name: tuple(map(artifact_record, found)) for name, found in made.items() if found},
            deleted=states == {pb.Artifact.DELETED},
            owner=Owner.from_text(execution.custom_properties[OWNER].string_value),
        )
    return history


def _links(events: Sequence[Any]) -> tuple[frozenset[int], dict[str, list[int]]]:
    from ml_metadata.proto import metadata_store_pb2 as pb

    inputs = frozenset(event.artifact_id for event in events if event.type == pb.Event.INPUT)
    outputs: dict[str, list[int]] = {}
    for event in events:
        if event.type == pb.Event.OUTPUT:
            outputs.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
    return inputs, outputs


def _newest_runs(history: _History, keep: int) -> list[str]:
    """Return the newest runs, and the newest that ended well; they stand in the order in which they began."""
    newest = list(history.runs)[::-1]
    good = next((run for run in newest if history.ended_well[run]), None)
    return list(dict.fromkeys([*newest[:keep], *([good] if good is not None else [])]))


def _pushed(artifact: Artifact, labels: Labels, is_there: Callable[[str], bool]) -> str:
    """Return why a version is kept; empty where it is none, or gone and without a label."""
    facts = artifact.properties
    if artifact.type != PUSHED_MODEL or facts.get("pushed") != 1:
        return ""
    model, version = str(facts.get("model_name", "")), str(facts.get("pushed_version", ""))
    pointing = [label for label, target in labels.get(model, {}).items() if target == version]
    if pointing:
        return f"label {', '.join(pointing)} of {model} points to version {version}"
    place = str(facts.get("pushed_destination", ""))
    return f"version {version} of {model} is in {place}" if place and is_there(place) else ""


def _newest_blessed(works: Collection[Work]) -> Iterator[tuple[Work, str]]:
    newest: dict[tuple[str, ...], Work] = {}
    for work in works:
        for artifact in work.all_outputs():
            if artifact.type in _BLESSED and artifact.properties.get("blessed") == 1 and not work.deleted:
                newest[work.origin.step, str(artifact.properties.get("mode", ""))] = work
    for (step, mode), work in newest.items():
        yield work, f"the newest that {step} blessed{f' as {mode}' if mode else ''}"


def _newest(works: Collection[Work]) -> Iterator[tuple[Work, str]]:
    newest = {work.origin.step: work for work in works if not work.deleted}
    yield from ((work, f"the newest of {step}") for step, work in newest.items())


def _keep_used_elsewhere(scan: Scan, history: _History, reasons: _Reasons) -> None:
    if scan.pipelines() == [scan.pipeline]:
        return
    doubtful = [one.id for key, work in history.works.items() if key not in reasons.found for one in work.all_outputs()]
    reasons.keep_artifacts(scan.used_elsewhere(doubtful), "another pipeline used it")
