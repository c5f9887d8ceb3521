"""The versions that a pipeline pushed, and where its labels pointed over time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.metadata.evaluations import metric_of
from penstock.metadata.label_changes import label_changes
from penstock.metadata.lineage import MODELS, PUSHED_MODEL
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, Execution
from penstock.metadata.server import Location

_SHOWN = 30
"""Newest versions of a model that a page shows, and as many moves of labels."""


@dataclass(frozen=True)
class Version:
    """A version that was pushed.

    Attributes:
        number: Its number, as text.
        artifact: Id of its PushedModel.
        time: When it was pushed, milliseconds since 1970.
        run: The run that pushed it.
        reason: Why.
        digest: Of its manifest.
        metric: Name and value of a metric of its model; None where it has none.
        labels: The labels that point to it, as far as the store knows.
        there: Whether it is still where it was pushed to; None where that is not on this machine.
        modes: Of flatbuffers; empty for a SavedModel.
        this_run: Whether the run of the page pushed it, or took it from the cache.
    """

    number: str
    artifact: int
    time: int
    run: str
    reason: str
    digest: str
    metric: tuple[str, float] | None
    labels: tuple[str, ...]
    there: bool | None
    modes: str
    this_run: bool


@dataclass(frozen=True)
class Move:
    """A label that was given a version: by a push, a promotion or a rollback."""

    time: int
    kind: str
    label: str
    before: str
    after: str
    error: str = ""


@dataclass(frozen=True)
class Versions:
    """The versions and labels of one model, the newest first; ``more`` is how many versions are not shown."""

    model: str
    versions: tuple[Version, ...]
    moves: tuple[Move, ...]
    more: int = 0


def read_versions(reader: Reader, given: frozenset[int]) -> list[Versions]:
    """Return what the pipeline pushed, by model.

    Args:
        reader: The pipeline's part of the store.
        given: Ids of the artifacts that the run of the page gave.
    """
    pushed, makers = _pushed(reader)
    return [_of_model(reader, name, found, makers, given) for name, found in pushed.items()]


def label_targets(reader: Reader) -> dict[str, dict[str, str]]:
    """Return model → label → version, by what was recorded of pushes, promotions and rollbacks."""
    pushed, _ = _pushed(reader)
    return {name: _targets(_moves(reader.location, name, found)) for name, found in pushed.items()}


def _pushed(reader: Reader) -> tuple[dict[str, list[Artifact]], Mapping[int, Execution]]:
    """Return the versions that the pipeline pushed, oldest first, by model; and what pushed each."""
    pushed = [one for one in reader.of_type(PUSHED_MODEL) if one.properties.get("pushed") == 1]
    makers = reader.makers(one.id for one in pushed)
    by_model: dict[str, list[Artifact]] = {}
    for one in pushed:
        if one.id in makers:
            by_model.setdefault(str(one.properties.get("model_name", "")), []).append(one)
    return by_model, makers


def _of_model(
    reader: Reader, name: str, pushed: Sequence[Artifact], makers: Mapping[int, Execution], given: frozenset[int]
) -> Versions:
    moves = _moves(reader.location, name, pushed)
    labels = _targets(moves)
    shown = pushed[::-1][:_SHOWN]
    models = reader.artifacts(key for one in shown for key in makers[one.id].all_inputs())
    return Versions(
        model=name,
        versions=tuple(_version(one, makers[one.id], models, labels, given) for one in shown),
        moves=tuple(moves[::-1][:_SHOWN]),
        more=max(0, len(pushed) - _SHOWN),
    )


def _moves(store: Location, model: str, pushed: Sequence[Artifact]) -> list[Move]:
    return sorted([*_pushes(pushed), *_changes(store, model)], key=lambda move: move.time)


def _targets(moves: Sequence[Move]) -> dict[str, str]:
    return {move.label: move.after for move in moves if not move.error}


def _version(
    pushed: Artifact,
    maker: Execution,
    models: Mapping[int, Artifact],
    labels: Mapping[str, str],
    given: frozenset[int],
) -> Version:
    facts = pushed.properties
    number = str(facts.get("pushed_version", ""))
    used = [models[key] for key in maker.all_inputs() if key in models and models[key].type in MODELS]
    place = str(facts.get("pushed_destination", ""))
    return Version(
        number=number,
        artifact=pushed.id,
        time=pushed.created,
        run=maker.origin.run,
        reason=str(facts.get("reason", "")),
        digest=str(facts.get("digest", "")),
        metric=metric_of(used, {}),
        labels=tuple(label for label, version in labels.items() if version == number),
        there=None if not place or "://" in place else Path(place).is_dir(),
        modes=str(facts.get("modes", "")),
        this_run=pushed.id in given,
    )


def _pushes(pushed: Sequence[Artifact]) -> Iterator[Move]:
    """Yield the labels that pushes moved."""
    before: dict[str, str] = {}
    for one in pushed:
        after = _labels(one)
        for label, version in after.items():
            if before.get(label) != version:
                yield Move(one.created, "push", label, before.get(label, ""), version)
        before = {**before, **after}


def _labels(pushed: Artifact) -> dict[str, str]:
    try:
        found = json.loads(str(pushed.properties.get("labels", "{}")))
    except ValueError:
        return {}
    return {str(label): str(version) for label, version in found.items()} if isinstance(found, dict) else {}


def _changes(store: Location, model: str) -> Iterator[Move]:
    for change in label_changes(store, model):
        before = "" if change.before is None else str(change.before)
        error = change.error.splitlines()[0] if change.error else ""
        yield Move(change.time, change.kind, change.label, before, str(change.after), error)
