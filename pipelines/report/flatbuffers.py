"""What a TFLiteConverter made: each mode's figures, and size against quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.metadata.records import Artifact
from penstock.metadata.runs import Run
from penstock.pipelines.report.charts import Chart, beside, chart
from penstock.pipelines.report.training import read_json

_REPORT = "report.json"


@dataclass(frozen=True)
class Mode:
    """One mode; figures are None where it could not be converted or was not measured.

    Attributes:
        name: Such as ``int8``.
        blessed: Whether it is within tolerance.
        reason: Why, or why not.
        size: In bytes.
        part: Its size, as a share of the largest mode's, 0 to 1.
        metric: The metric's value.
        drop: How much worse that is than the SavedModel's.
        error: Largest absolute difference of an output.
        latency: Median of one call in microseconds, with one thread.
        ratio: That, divided by the SavedModel's.
        arena: Memory for the tensors of one call, in bytes.
    """

    name: str
    blessed: bool
    reason: str
    size: int | None = None
    part: float = 0.0
    metric: float | None = None
    drop: float | None = None
    error: float | None = None
    latency: float | None = None
    ratio: float | None = None
    arena: int | None = None


@dataclass(frozen=True)
class Mark:
    """A mode in the chart: where its mark is, and its text, which begins or ends there."""

    name: str
    x: float
    y: float
    text_y: float
    anchor: str
    blessed: bool


@dataclass(frozen=True)
class Flatbuffers:
    """All modes of one step.

    Attributes:
        step: The step.
        metric: Name of the metric; empty where none was asked for.
        baseline: The SavedModel's.
        modes: The modes.
        chart: Size against the metric; None without one.
        marks: The modes in the chart.
    """

    step: str
    metric: str
    baseline: float | None
    modes: tuple[Mode, ...]
    chart: Chart | None
    marks: tuple[Mark, ...]


def read_flatbuffers(run: Run) -> list[Flatbuffers]:
    """Return what the converters of a run made."""
    found = []
    for step in run.steps:
        made = [one for artifacts in step.outputs.values() for one in artifacts if one.type == "TFLiteModel"]
        if made and step.component == "TFLiteConverter":
            found.append(_flatbuffers(step.name, made))
    return found


def _flatbuffers(step: str, made: Sequence[Artifact]) -> Flatbuffers:
    sizes = [int(one.properties["size_bytes"]) for one in made if "size_bytes" in one.properties]
    modes = tuple(_mode(one, max(sizes, default=0)) for one in made)
    facts = made[0].properties
    metric = next((str(one.properties["metric"]) for one in made if "metric" in one.properties), "")
    baseline = facts.get("baseline_value")
    known = None if baseline is None else float(baseline)
    return Flatbuffers(step, metric, known, modes, *_plot(metric, known, modes))


def _mode(artifact: Artifact, largest: int) -> Mode:
    facts = artifact.properties
    measured = _measured(Path(artifact.uri) / _REPORT)
    size = int(facts["size_bytes"]) if "size_bytes" in facts else None
    return Mode(
        name=str(facts.get("mode", "")),
        blessed=facts.get("blessed") == 1,
        reason=str(facts.get("reason", "")),
        size=size,
        part=size / largest if size and largest else 0.0,
        metric=_number(facts, "metric_value"),
        drop=_number(facts, "drop"),
        error=_number(measured, "max_abs_error"),
        latency=_number(facts, "latency_p50_us"),
        ratio=_number(facts, "latency_ratio"),
        arena=int(facts["arena_bytes"]) if "arena_bytes" in facts else None,
    )


def _measured(file: Path) -> Mapping[str, Any]:
    """Return a mode's part of its report: properties have six digits, errors may be smaller."""
    modes = read_json(file).get("modes", []) if file.is_file() else []
    return modes[0] if modes else {}


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return None if value is None else float(value)


def _plot(metric: str, baseline: float | None, modes: Sequence[Mode]) -> tuple[Chart | None, tuple[Mark, ...]]:
    measured = [mode for mode in modes if mode.size and mode.metric is not None]
    points = {mode.name: [((mode.size or 0) / 1000, mode.metric or 0.0)] for mode in measured}
    drawn = chart(metric, points, x_title="size, kB", logarithmic=True, level=baseline) if len(points) > 1 else None
    if drawn is None:
        return None, ()
    places = [line.points[0][:2] for line in drawn.lines]
    middle = (drawn.left + drawn.right) / 2
    return drawn, tuple(
        Mark(mode.name, x, y, height, "end" if x > middle else "start", mode.blessed)
        for mode, (x, y), height in zip(measured, places, beside(places), strict=True)
    )
