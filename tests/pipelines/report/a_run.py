"""A run with everything that a page can tell, under names that no page may take at their word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from tests.metadata.run_files import History

HOSTILE = "<script>alert('&\"x')</script>"
REPORT: dict[str, Any] = {
    "speed": {
        "verdict": {"name": "compute-bound", "line": "compute-bound: 90 %", "shares": {"input": 0.1, "compute": 0.9}},
        "wall_seconds": 3.5,
        "examples_per_second": 2700.0,
    },
    "course": {"epochs": 3, "steps": 115, "stopped_early": True, "best_epoch": 2},
    "parameters": 272586,
    "strategy": {"name": HOSTILE},
}
CURVES = {"loss": [1.0, 0.5, "NaN"], "val_loss": [0.9, 0.6, 0.4], "accuracy": [0.5, 0.8, 0.9]}


def write_run(root: Path, run: str = "20261130-100000-000") -> History:
    """Write the run and its files; return its history."""
    history = History(root, f"digits {HOSTILE}")
    steps = ["examples", "statistics", "validator", "trainer", "evaluator", "tflite", "pusher", "scores", "late"]
    history.run(
        run,
        steps=json.dumps(steps),
        config=json.dumps({"pipeline": "digits", "vars": {"name": HOSTILE}}),
        commit="40c24b13294c13ceb35f7dd22a673390bbf7080e",
        dirty=1,
        tfx_version="1.21.0",
        code=json.dumps({"trainer": {HOSTILE: "abc"}}),
    )
    (examples,) = history.step(
        run, "examples", {"examples": ("Examples", {"input_fingerprint": f"split:{HOSTILE},sum:7"})}
    )
    (statistics,) = history.step(run, "statistics", {"statistics": ("ExampleStatistics", {})}, {"examples": [examples]})
    _write_statistics(root / "statistics" / "statistics" / "2")
    history.step(run, "validator", {"anomalies": ("ExampleAnomalies", {})}, {"statistics": [statistics]})
    _write_anomalies(root / "validator" / "anomalies" / "3" / "Split-eval")
    facts = {"hparams": HOSTILE, "val_accuracy": 0.9, "train_rows": 1437}
    outputs = {"model": ("Model", facts), "model_run": ("ModelRun", {})}
    model, _ = history.step(run, "trainer", outputs, {"examples": [examples]})
    folder = root / "trainer" / "model_run" / "4"
    (folder / "training_report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    (folder / "history.json").write_text(json.dumps(CURVES), encoding="utf-8")
    metrics = {"overall": {"example_count": 360.0, "accuracy": 0.9667}, f"label={HOSTILE}": {"accuracy": 0.5}}
    outputs = {"evaluation": ("ModelEvaluation", {}), "blessing": ("ModelBlessing", {"blessed": 0})}
    history.step(
        run, "evaluator", outputs, {"model": [model]}, metrics=json.dumps(metrics), reason=f"too low {HOSTILE}"
    )
    modes = {mode: ("TFLiteModel", facts) for mode, facts in _modes()}
    history.step(run, "tflite", modes, {"model": [model]}, component="penstock.TFLiteConverter")
    told = {"pushed": 1, "model_name": HOSTILE, "pushed_version": "3", "digest": "d" * 64, "labels": '{"stable": 3}'}
    outputs = {"pushed_model": ("PushedModel", {**told, "reason": HOSTILE, "pushed_destination": "/gone/3"})}
    history.step(run, "pusher", outputs, {"model": [model]})
    scored = {"scored": 1, "rows": 1234, "results": 1230, "errors": 4, "format": "jsonl", "model_digest": "e" * 64}
    history.step(run, "scores", {"predictions": ("InferenceResult", scored)}, {"model": [model]})
    return history


def _modes() -> list[tuple[str, dict[str, Any]]]:
    common: dict[str, Any] = {"metric": "accuracy", "baseline_value": 0.9667, "latency_p50_us": 29.1}
    large = {"mode": "float32", "blessed": 0, "reason": f"too large {HOSTILE}", "size_bytes": 1_095_424}
    small = {"mode": "int8", "blessed": 1, "reason": "", "size_bytes": 288_896}
    return [
        ("float32", {**common, **large, "metric_value": 0.9667, "drop": 0.0}),
        ("int8", {**common, **small, "metric_value": 0.9639, "drop": 0.0028}),
        ("int4", {"mode": "int4", "blessed": 0, "reason": "it cannot be converted"}),
    ]


def _write_statistics(folder: Path) -> None:
    for split, rows in (("train", 1437), ("eval", 360)):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = found.datasets.add(num_examples=rows)
        number = dataset.features.add(type=1)
        number.path.step.append(HOSTILE)
        number.num_stats.common_stats.num_non_missing = rows - 60
        number.num_stats.common_stats.avg_num_values = 1
        number.num_stats.common_stats.tot_num_values = rows - 60
        number.num_stats.mean, number.num_stats.max, number.num_stats.num_zeros = 4.5, 9, 30
        histogram = number.num_stats.histograms.add()
        for count in (5, 0, 10):
            histogram.buckets.add(sample_count=count)
        text = dataset.features.add(type=2, name="town")
        text.string_stats.common_stats.num_non_missing = rows
        text.string_stats.unique = 12
        text.string_stats.top_values.add(value=HOSTILE, frequency=100)
        raw = dataset.features.add(type=3, name="picture")
        raw.bytes_stats.common_stats.num_non_missing = rows
        raw.bytes_stats.unique = 300
        target = folder / f"Split-{split}"
        target.mkdir()
        (target / "FeatureStats.pb").write_bytes(found.SerializeToString())


def _write_anomalies(folder: Path) -> None:
    found = anomalies_pb2.Anomalies()
    found.anomaly_info["town"].description = f"unexpected value {HOSTILE}"
    found.dataset_anomaly_info.description = "fewer rows than the schema asks for"
    folder.mkdir()
    (folder / "SchemaDiff.pb").write_bytes(found.SerializeToString())
