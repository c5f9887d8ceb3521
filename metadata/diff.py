"""What differs between two runs of a pipeline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock.metadata import vocabulary
from penstock.metadata.evaluations import metrics_by_slice, training_metrics
from penstock.metadata.fingerprints import input_facts
from penstock.metadata.records import Artifact, Value
from penstock.metadata.runs import Run, Step

SECTIONS = ("config", "code", "data", "metrics", "artifacts", "steps", "versions")
_PRIVATE = ("__", "penstock_")
"""How the names of execution properties begin that are the launcher's own."""
_FOUND = frozenset({*vocabulary.FINDINGS, vocabulary.USER_CODE, "span"})
"""Execution properties that are no parameters."""
_DATA = ("train_rows", "train_fingerprint", "eval_rows", "eval_fingerprint")


@dataclass(frozen=True)
class Difference:
    """One thing that differs; None where a run does not have it, or did not record it."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class RunDiff:
    """What differs between two runs, by section; a section in which nothing differs is empty.

    Attributes:
        before: Id of the one.
        after: Id of the other.
        sections: Section (see :data:`SECTIONS`) → what differs.
        same: Outputs that both runs have in common, a count.
    """

    before: str
    after: str
    sections: Mapping[str, tuple[Difference, ...]]
    same: int

    def to_dict(self) -> dict[str, Any]:
        """Return the differences as JSON data."""
        return asdict(self)


def diff_runs(before: Run, after: Run) -> RunDiff:
    """Compare two runs."""
    # What only one of them has recorded would differ in every key.
    recorded = all(vocabulary.CONFIG_DIGEST in run.facts for run in (before, after))
    views = [_View(run, recorded=recorded) for run in (before, after)]
    sections = {
        section: tuple(_differences(*(dict(getattr(view, section)()) for view in views))) for section in SECTIONS
    }
    return RunDiff(before.id, after.id, sections, _in_common(before, after))


class _View:
    """A run as names and values, by section."""

    def __init__(self, run: Run, *, recorded: bool) -> None:
        self._run = run
        self._facts = run.facts if recorded else {}

    def config(self) -> Iterator[tuple[str, Any]]:
        """The config as it was written, or, where it was not recorded, what the steps received."""
        written = _parsed(self._facts.get(vocabulary.CONFIG))
        if isinstance(written, Mapping):
            yield from flatten(written)
            return
        for step in self._run.steps:
            for name, value in step.properties.items():
                if not name.startswith(_PRIVATE) and name not in _FOUND:
                    inner = _parsed(value) if name == vocabulary.CONFIG else value
                    under = "" if name == vocabulary.CONFIG else f".{name}"
                    yield from flatten(inner, f"steps.{step.name}.with{under}")

    def code(self) -> Iterator[tuple[str, Any]]:
        """The commit, and the modules behind each step."""
        facts = self._facts
        yield from ((name, facts[name]) for name in (vocabulary.COMMIT, vocabulary.DIRTY) if name in facts)
        recorded = _parsed(facts.get(vocabulary.CODE))
        if isinstance(recorded, Mapping):
            # A module stands once, however many steps use it.
            yield from {module: digest for modules in recorded.values() for module, digest in modules.items()}.items()
            return
        for step in self._run.steps:
            if vocabulary.USER_CODE in step.properties:
                yield f"code of {step.name}", step.properties[vocabulary.USER_CODE]

    def data(self) -> Iterator[tuple[str, Any]]:
        """Fingerprints of what was read from outside, and of the rows that models were trained on."""
        for step, name, artifact in _outputs(self._run):
            if artifact.type == "Examples" and vocabulary.INPUT_FINGERPRINT in artifact.properties:
                told = input_facts(artifact.properties[vocabulary.INPUT_FINGERPRINT])
                yield from ((f"{step.name}.{name} {fact}", value) for fact, value in told.items())
            if artifact.type == "Model":
                facts = artifact.properties
                yield from ((f"{step.name} {key}", facts[key]) for key in _DATA if key in facts)

    def metrics(self) -> Iterator[tuple[str, Any]]:
        """Metrics of evaluations by slice, and of trainings."""
        for step in self._run.steps:
            found = metrics_by_slice(step.properties)
            for slice_name, values in found.items():
                yield from ((f"{step.name} {slice_name} {metric}", value) for metric, value in values.items())
        for step, _, artifact in _outputs(self._run):
            if artifact.type == "Model":
                metrics = training_metrics(artifact.properties)
                yield from ((f"{step.name} {metric}", value) for metric, value in metrics.items())
            if artifact.type == "ModelBlessing" and "blessed" in artifact.properties:
                yield f"{step.name} blessed", artifact.properties["blessed"]

    def artifacts(self) -> Iterator[tuple[str, Any]]:
        """The ids of outputs."""
        ids: dict[str, list[int]] = {}
        for step, name, artifact in _outputs(self._run):
            ids.setdefault(f"{step.name}.{name}", []).append(artifact.id)
        yield from ((name, ", ".join(map(str, found))) for name, found in ids.items())

    def steps(self) -> Iterator[tuple[str, Any]]:
        """What became of each step: one that was cached is as good as one that ran."""
        for step in self._run.steps:
            yield step.name, "done" if step.state in ("ran", "cached") else step.state

    def versions(self) -> Iterator[tuple[str, Any]]:
        """The libraries."""
        suffix = vocabulary.VERSION_SUFFIX
        yield from ((k.removesuffix(suffix), v) for k, v in self._facts.items() if k.endswith(suffix))


def flatten(data: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted key and value of all that is no mapping; a list of plain values is one value."""
    if isinstance(data, Mapping) and data:
        for key, value in data.items():
            yield from flatten(value, f"{place}.{key}" if place else str(key))
    elif isinstance(data, list) and any(isinstance(item, Mapping | list) for item in data):
        for number, item in enumerate(data):
            yield from flatten(item, f"{place}[{number}]")
    else:
        yield place, data


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield Difference(name, before.get(name), after.get(name))


def _outputs(run: Run) -> Iterator[tuple[Step, str, Artifact]]:
    for step in run.steps:
        yield from ((step, name, artifact) for name, found in step.outputs.items() for artifact in found)


def _in_common(before: Run, after: Run) -> int:
    ids = [{artifact.id for _, _, artifact in _outputs(run)} for run in (before, after)]
    return len(ids[0] & ids[1])


def _parsed(value: Value | None) -> Any:
    try:
        return json.loads(str(value)) if value is not None else None
    except ValueError:
        return value
