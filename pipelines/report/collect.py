"""Collects what a run's page tells. Reads ML Metadata and small files beside it; imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from penstock.errors import PenstockError
from penstock.metadata import vocabulary
from penstock.metadata.evaluations import OVERALL, metrics_by_slice
from penstock.metadata.given import given, main_output
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, RunRecord
from penstock.metadata.runs import Run, Step, read_run
from penstock.pipelines.models.evaluation import metrics_by_slice as metrics_in_files
from penstock.pipelines.predictions import Predictions
from penstock.pipelines.report.facts import Origins, origins, predictions
from penstock.pipelines.report.flatbuffers import Flatbuffers, read_flatbuffers
from penstock.pipelines.report.graphs import Graph, lineage_graph, step_graph
from penstock.pipelines.report.statistics import Anomaly, DataStatistics, read_anomalies, read_statistics
from penstock.pipelines.report.training import Training, read_trainings
from penstock.pipelines.report.versions import Versions, read_versions

_Part = TypeVar("_Part")
_SLICES = 200
"""Slices of one evaluation that a page shows."""
_COUNTS = frozenset({"example_count", "weighted_example_count"})


@dataclass(frozen=True)
class Metric:
    """One metric in a table of slices: its name, and what its longest bar stands for."""

    name: str
    full: float


@dataclass(frozen=True)
class Evaluation:
    """What an Evaluator found.

    Attributes:
        step: The step.
        metrics: The columns.
        slices: Slice → metric → value, all rows first.
        blessed: The verdict; None where no threshold asked for one.
        reason: Why; empty where the store does not say.
        more: How many slices are not shown.
    """

    step: str
    metrics: tuple[Metric, ...]
    slices: Mapping[str, Mapping[str, float]]
    blessed: bool | None
    reason: str
    more: int = 0


@dataclass(frozen=True)
class Page:
    """All that the page of a run tells; ``left_out`` says of each part that has no data why."""

    run: Run
    steps: Graph
    origins: Origins
    statistics: list[DataStatistics] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    anomalies: list[Anomaly] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    trainings: list[Training] = field(default_factory=list)
    flatbuffers: list[Flatbuffers] = field(default_factory=list)
    versions: list[Versions] = field(default_factory=list)
    predictions: list[Predictions] = field(default_factory=list)
    lineage: Graph | None = None
    about: str = ""
    left_out: Mapping[str, str] = field(default_factory=dict)


def collect(reader: Reader, record: RunRecord) -> Page:
    """Return what there is to tell about a run.

    A file that is gone or damaged costs its own part of the page, never the page: the part says so.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """
    run = read_run(reader, record)
    ours = frozenset(one.id for _, one in given(run))
    parts = _Parts()
    nothing: tuple[list[str], list[Anomaly]] = ([], [])
    looked_at, anomalies = parts.take("Anomalies", lambda: read_anomalies(run), nothing)
    target = main_output(run)
    page = Page(
        run=run,
        steps=step_graph(reader, run),
        origins=origins(run),
        statistics=parts.take("Data", lambda: read_statistics(run), []),
        looked_at=looked_at,
        anomalies=anomalies,
        evaluations=parts.take("Evaluation", lambda: _evaluations(run), []),
        trainings=parts.take("Training", lambda: read_trainings(run), []),
        flatbuffers=parts.take("Flatbuffers", lambda: read_flatbuffers(run), []),
        versions=parts.take("Versions and labels", lambda: read_versions(reader, ours), []),
        predictions=predictions(run),
        lineage=lineage_graph(reader, target) if target is not None else None,
        about=_about(target) if target is not None else "",
        left_out=parts.damaged,
    )
    empty = {title: why for title, (found, why) in _reasons(page).items() if not found}
    return replace(page, left_out={**empty, **parts.damaged})


class _Parts:
    """Takes the parts of a page one by one, and notes those that cannot be read."""

    def __init__(self) -> None:
        self.damaged: dict[str, str] = {}

    def take(self, title: str, read: Callable[[], _Part], empty: _Part) -> _Part:
        try:
            return read()
        except PenstockError as error:
            self.damaged[title] = f"{error.where}: {error.what}" if error.where else error.what
            return empty


def _reasons(page: Page) -> dict[str, tuple[object, str]]:
    """Return for each part what it has, and the line that stands for it where that is nothing."""
    return {
        "Data": (page.statistics, "no StatisticsGen ran, or its files are gone"),
        "Anomalies": (page.looked_at, "no ExampleValidator ran, or its files are gone"),
        "Training": (page.trainings, "no training of ours ran, or its files are gone"),
        "Evaluation": (page.evaluations, "no Evaluator ran, or its files are gone"),
        "Flatbuffers": (page.flatbuffers, "no TFLiteConverter ran"),
        "Versions and labels": (page.versions, "the pipeline has pushed no version"),
        "Predictions": (page.predictions, "no BatchInference ran"),
        "Lineage": (page.lineage, "the run gave nothing"),
        "Config": (page.origins.config, "it was not recorded: the run is older than that, or another runner's"),
    }


def _evaluations(run: Run) -> list[Evaluation]:
    found = (_evaluation(step) for step in run.steps if "evaluation" in step.outputs)
    return [one for one in found if one is not None]


def _evaluation(step: Step) -> Evaluation | None:
    slices = metrics_by_slice(step.properties)
    if not slices:
        slices = metrics_in_files(Path(step.outputs["evaluation"][0].uri))
    if not slices:
        return None
    names = list(dict.fromkeys(name for values in slices.values() for name in values))
    names.sort(key=lambda name: (name not in _COUNTS, name))
    blessings = [one.properties.get("blessed") for one in step.outputs.get("blessing", ())]
    shown = dict(sorted(slices.items(), key=lambda one: one[0] != OVERALL)[:_SLICES])
    return Evaluation(
        step=step.name,
        metrics=tuple(Metric(name, _full(name, [values.get(name) for values in shown.values()])) for name in names),
        slices=shown,
        blessed=blessings[0] == 1 if blessings and blessings[0] is not None else None,
        reason=str(step.properties.get(vocabulary.REASON, "")),
        more=max(0, len(slices) - len(shown)),
    )


def _full(name: str, values: list[float | None]) -> float:
    """Return what a full bar stands for: 1 where all values are shares; of counts, the largest slice's."""
    known = [abs(value) for value in values if value is not None and value == value]  # noqa: PLR0124  NaN is not itself.
    if name in _COUNTS and len(known) > 1:
        return max(known[1:]) or 1.0
    largest = max(known, default=1.0)
    return 1.0 if largest <= 1 else largest


def _about(target: Artifact) -> str:
    facts = target.properties
    if facts.get("pushed") == 1:
        return f"{facts.get('model_name', '')}/{facts.get('pushed_version', '')}"
    return f"{target.type} {target.id}"
