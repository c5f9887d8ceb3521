"""A training's course: curves, verdict and figures, as the Trainer left them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError
from penstock.metadata.given import given
from penstock.metadata.runs import Run
from penstock.pipelines.report.charts import Chart, chart

_HISTORY, _REPORT = "history.json", "training_report.json"
_VALIDATION = "val_"


@dataclass(frozen=True)
class Share:
    """Part of a step's time: its name and 0 to 1."""

    name: str
    share: float


@dataclass(frozen=True)
class Training:
    """A training.

    Attributes:
        step: The step.
        charts: One a metric, training and evaluation split together; the loss first.
        epochs: Epoch, from 1, with the value of each metric, as the charts show them.
        metrics: Names of these.
        verdict: What limits its speed, in one sentence.
        shares: Where a step's time goes.
        report: All of ``training_report.json``.
    """

    step: str
    charts: tuple[Chart, ...]
    epochs: tuple[tuple[int, tuple[float | None, ...]], ...]
    metrics: tuple[str, ...]
    verdict: str
    shares: tuple[Share, ...]
    report: Mapping[str, Any]


def read_trainings(run: Run) -> list[Training]:
    """Return the trainings of a run, those taken from the cache included.

    Raises:
        ArtifactError: A file is damaged.
    """
    runs = ((step, Path(artifact.uri)) for step, artifact in given(run, "ModelRun"))
    return [_training(step.name, folder) for step, folder in runs if (folder / _REPORT).is_file()]


def read_json(file: Path) -> Any:
    """Return the content of a JSON file that a component wrote.

    Raises:
        ArtifactError: It is damaged.
    """
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"the file cannot be read: {error}", where=str(file), hint="run the step that wrote it again"
        ) from error


def _training(step: str, folder: Path) -> Training:
    report = read_json(folder / _REPORT)
    history = read_json(folder / _HISTORY) if (folder / _HISTORY).is_file() else {}
    history = {name: [_value(one) for one in values] for name, values in history.items()}
    names = sorted(history, key=lambda name: (name.removeprefix(_VALIDATION) != "loss", name))
    length = max(map(len, history.values()), default=0)
    verdict = report.get("speed", {}).get("verdict", {})
    return Training(
        step=step,
        charts=tuple(_charts(history)),
        epochs=tuple(
            (epoch + 1, tuple(history[name][epoch] if epoch < len(history[name]) else None for name in names))
            for epoch in range(length)
        ),
        metrics=tuple(names),
        verdict=str(verdict.get("line", "")),
        shares=tuple(Share(name, float(one)) for name, one in verdict.get("shares", {}).items() if one is not None),
        report=report,
    )


def _charts(history: Mapping[str, list[float]]) -> list[Chart]:
    names = dict.fromkeys(name.removeprefix(_VALIDATION) for name in history)
    charts = []
    for name in sorted(names, key=lambda name: (name != "loss", name)):
        series = {"training": history.get(name), "evaluation": history.get(f"{_VALIDATION}{name}")}
        points = {
            title: [(float(epoch), value) for epoch, value in enumerate(values, start=1)]
            for title, values in series.items()
            if values
        }
        drawn = chart(name, points, x_title="epoch")
        charts += [drawn] if drawn is not None else []
    return charts


def _value(value: Any) -> float:
    """Return a number; those that JSON lacks were written as text."""
    return float(value)
