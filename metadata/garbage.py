"""Which outputs nothing refers to any more: no recent run, no version, no label, nothing that these were made of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from penstock.metadata.lineage import PUSHED_MODEL
from penstock.metadata.records import Artifact, Origin
from penstock.metadata.scan import Scan
from penstock.metadata.tables import Row, Tables, read_tables

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
    """

    id: int
    origin: Origin
    ended: int
    inputs: frozenset[int]
    outputs: Mapping[str, tuple[Artifact, ...]]
    deleted: bool

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
    used_elsewhere: frozenset[int] = frozenset()


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
    history = _history(read_tables(scan.sqlite, scan.pipeline))
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
    reasons.keep_artifacts(history.used_elsewhere, "another pipeline used it")
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


def _history(tables: Tables) -> _History:
    from ml_metadata.proto import metadata_store_pb2 as pb

    history = _History(used_elsewhere=tables.used_elsewhere)
    makers: list[Row] = []
    for row in tables.executions:
        touched = row.inputs.union(*row.outputs.values())
        history.runs.setdefault(row.origin.run, set()).update(touched)
        well = row.state in (pb.Execution.COMPLETE, pb.Execution.CACHED)
        history.ended_well[row.origin.run] = history.ended_well.get(row.origin.run, True) and well
        if row.state in (pb.Execution.RUNNING, pb.Execution.NEW):
            history.held |= touched
        elif row.state != pb.Execution.CACHED and row.outputs:
            makers.append(row)
            for key in (key for ids in row.outputs.values() for key in ids):
                history.makers.setdefault(key, row.id)
    history.runs.pop("", None)
    history.works = {row.id: _work(row, history.makers, tables) for row in makers}
    return history


def _work(row: Row, makers: Mapping[int, int], tables: Tables) -> Work:
    made = {name: [one for one in ids if makers[one] == row.id] for name, ids in row.outputs.items()}
    ids = {one for found in made.values() for one in found}
    return Work(
        id=row.id,
        origin=row.origin,
        ended=row.updated,
        inputs=frozenset(row.inputs),
        outputs={name: tuple(tables.artifacts[one] for one in ids) for name, ids in made.items() if ids},
        deleted=bool(ids) and ids <= tables.deleted,
    )


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
