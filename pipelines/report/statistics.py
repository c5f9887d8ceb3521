"""Data statistics and anomalies, as StatisticsGen and ExampleValidator wrote them. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from penstock.errors import ArtifactError
from penstock.metadata.given import given
from penstock.metadata.runs import Run

_FILE = "FeatureStats.pb"
_ANOMALIES = "SchemaDiff.pb"
_SPLIT = "Split-"
_ALL = ("All Examples", "")
"""Names of the statistics over all rows, beside which there may be some over slices."""
_TOP = 5
_FEATURES = 200
"""Features that a page shows; a person reads no more, and a browser has enough of them."""
_SHORT = 60


@dataclass(frozen=True)
class Column:
    """One feature in one split.

    Attributes:
        split: The split.
        kind: ``int``, ``float``, ``text`` or ``bytes``.
        present: Rows that have it.
        missing: Share of the rows that have not, 0 to 1.
        values: Values of a row, on average.
        low: Smallest value; None for text, as for the next four.
        mean: Mean value.
        deviation: Standard deviation.
        median: Median value.
        high: Largest value.
        zeros: Share of values that are 0, 0 to 1; None for text.
        unique: How many different values; None for numbers.
        top: Most frequent values, with a count each.
        histogram: Counts of ten intervals of equal width, or of the most frequent values.
    """

    split: str
    kind: str
    present: int
    missing: float
    values: float
    low: float | None = None
    mean: float | None = None
    deviation: float | None = None
    median: float | None = None
    high: float | None = None
    zeros: float | None = None
    unique: int | None = None
    top: tuple[tuple[str, float], ...] = ()
    histogram: tuple[float, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One feature over all splits."""

    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True)
class DataStatistics:
    """What one step found of the data.

    Attributes:
        step: The step.
        rows: Split → how many rows.
        features: The features, sorted as they were written; of very many the first.
        left_out: How many features are not among them.
    """

    step: str
    rows: dict[str, int]
    features: tuple[Feature, ...]
    left_out: int = 0


@dataclass(frozen=True)
class Anomaly:
    """Something in the data that is not as the schema says."""

    step: str
    split: str
    feature: str
    text: str


def read_statistics(run: Run) -> list[DataStatistics]:
    """Return the statistics by split of each step that made such; those without splits are a Transform's own.

    Raises:
        ArtifactError: A file is damaged.
    """
    found = []
    for step, artifact in given(run, "ExampleStatistics"):
        files = sorted(Path(artifact.uri).glob(f"{_SPLIT}*/{_FILE}"))
        if files:
            found.append(_statistics(step.name, files))
    return found


def read_anomalies(run: Run) -> tuple[list[str], list[Anomaly]]:
    """Return the step and split of all that was looked at, and what was found there.

    Raises:
        ArtifactError: A file is damaged.
    """
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    looked_at: list[str] = []
    found: list[Anomaly] = []
    for step, artifact in given(run, "ExampleAnomalies"):
        for file in sorted(Path(artifact.uri).glob(f"{_SPLIT}*/{_ANOMALIES}")):
            split = file.parent.name.removeprefix(_SPLIT)
            looked_at.append(f"{step.name}, {split}")
            message = _parsed(anomalies_pb2.Anomalies, file)
            told = sorted(message.anomaly_info.items())
            found += (Anomaly(step.name, split, name, info.description) for name, info in told)
            if message.HasField("dataset_anomaly_info"):
                found.append(Anomaly(step.name, split, "", message.dataset_anomaly_info.description))
    return looked_at, found


def _statistics(step: str, files: Sequence[Path]) -> DataStatistics:
    from tensorflow_metadata.proto.v0 import statistics_pb2

    rows: dict[str, int] = {}
    columns: dict[str, list[Column]] = {}
    for file in files:
        split = file.parent.name.removeprefix(_SPLIT)
        datasets = _parsed(statistics_pb2.DatasetFeatureStatisticsList, file).datasets
        whole = next((one for one in datasets if one.name in _ALL), None) or next(iter(datasets), None)
        rows[split] = int(whole.num_examples) if whole is not None else 0
        for feature in whole.features if whole is not None else ():
            columns.setdefault(_name(feature), []).append(_column(split, feature, rows[split]))
    features = [Feature(name, tuple(found)) for name, found in columns.items()]
    return DataStatistics(step, rows, tuple(features[:_FEATURES]), max(0, len(features) - _FEATURES))


def _column(split: str, feature: Any, rows: int) -> Column:
    which = feature.WhichOneof("stats")
    kind = {"num_stats": "float" if feature.type == 1 else "int", "string_stats": "text"}.get(which, "bytes")
    stats = getattr(feature, which) if which else None
    common = stats.common_stats if stats is not None and hasattr(stats, "common_stats") else None
    present = int(common.num_non_missing) if common is not None else 0
    base: dict[str, Any] = {
        "split": split,
        "kind": kind,
        "present": present,
        "missing": 1 - present / rows if rows else 0.0,
        "values": float(common.avg_num_values) if common is not None else 0.0,
    }
    if which == "num_stats":
        return Column(**base, **_numbers(stats, common))
    if which == "string_stats":
        return Column(**base, **_texts(stats))
    return Column(**base, unique=int(stats.unique) if stats is not None and which == "bytes_stats" else None)


def _numbers(stats: Any, common: Any) -> dict[str, Any]:
    plain = next((one for one in stats.histograms if one.type == 0), None)
    total = int(common.tot_num_values) or int(common.num_non_missing)
    return {
        "low": float(stats.min),
        "mean": float(stats.mean),
        "deviation": float(stats.std_dev),
        "median": float(stats.median),
        "high": float(stats.max),
        "zeros": stats.num_zeros / total if total else 0.0,
        "histogram": tuple(float(bucket.sample_count) for bucket in plain.buckets) if plain is not None else (),
    }


def _texts(stats: Any) -> dict[str, Any]:
    top = tuple((_short(value.value), float(value.frequency)) for value in stats.top_values[:_TOP])
    ranks = tuple(float(bucket.sample_count) for bucket in stats.rank_histogram.buckets[:20])
    return {"unique": int(stats.unique), "top": top, "histogram": ranks}


def _name(feature: Any) -> str:
    return ".".join(feature.path.step) if feature.WhichOneof("field_id") == "path" else str(feature.name)


def _short(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


def _parsed(message: Any, file: Path) -> Any:
    try:
        return message.FromString(file.read_bytes())
    except (DecodeError, OSError) as error:
        raise ArtifactError(
            f"the file cannot be read: {error}", where=str(file), hint="run the step that wrote it again"
        ) from error
