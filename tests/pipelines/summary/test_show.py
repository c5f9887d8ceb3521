"""What a person reads at the end of a run."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from penstock.errors import ArtifactError
from penstock.pipelines.graph import Graph
from penstock.pipelines.predictions import Predictions
from penstock.pipelines.progress import PlainProgress
from penstock.pipelines.runners.local import RunResult, StepRun
from penstock.pipelines.summary.collect import Push, Summary
from penstock.pipelines.summary.evaluation import Evaluation
from penstock.pipelines.summary.flatbuffers import Flatbuffer, Flatbuffers
from penstock.pipelines.summary.samples import Sample, Samples
from penstock.pipelines.summary.show import show

GRAPH = Graph("p", "/runs", "/runs/metadata.sqlite", Path("/project"), (), {})


def shown(*steps, summary=None, interrupted=False):
    result = RunResult("run1", Path("/runs/logs/run1"), GRAPH, steps, 8.0, 20.5, interrupted)
    stream = io.StringIO()
    show(Console(file=stream, width=100), result, summary)
    return stream.getvalue()


def test_a_cached_run_says_so():
    text = shown(StepRun("trainer", "Trainer", "cached", 0.2))
    assert "= cached" in text
    assert "Every step was cached: nothing changed since they ran." in text


def test_a_failure_shows_the_error_the_log_and_what_was_not_run():
    error = ArtifactError("split 'eval' is empty", where="trainer", hint="add rows")
    failed = StepRun("trainer", "Trainer", "failed", 3.0, Path("/runs/logs/run1/trainer.log"), error)
    text = shown(failed, StepRun("pusher", "Pusher", "not run", reason="trainer failed"))
    assert "✗ failed" in text
    assert "not run, trainer failed" in text
    assert "trainer: split 'eval' is empty\n  next: add rows\n  log: /runs/logs/run1/trainer.log" in text


def test_an_interrupted_run_says_what_is_kept():
    text = shown(StepRun("trainer", "Trainer", "interrupted", 3.0), interrupted=True)
    assert "Interrupted. Finished steps are kept and will be cached." in text


def _predictions(step: str, **facts: Any) -> Predictions:
    nothing = {
        "scored": True,
        "reason": "",
        "rows": 0,
        "results": 0,
        "errors": 0,
        "form": "jsonl",
        "path": "",
        "model": "",
    }
    return Predictions(step, **{**nothing, **facts})


@pytest.fixture
def summary():
    return Summary(
        evaluations=[
            Evaluation(
                "evaluator",
                blessed=False,
                reasons=["auc on overall: 0.5, and so on"],
                metrics={"overall": {"auc": 0.51234}},
            )
        ],
        flatbuffers=[
            Flatbuffers(
                "tflite",
                "/runs/report.md",
                [
                    Flatbuffer("int8", blessed=True, reason="", size_bytes=1000, metric=None, drop=None),
                    Flatbuffer("float32", blessed=False, reason="too large", size_bytes=4000, metric=None, drop=None),
                ],
            )
        ],
        pushes=[
            Push("pusher", pushed=True, reason="blessed", version="3", path="/serving/3", there=True),
            Push(
                "devices", pushed=True, reason="blessed", version="1", path="/lite/1", there=True, modes="float16, int8"
            ),
            Push("old", pushed=True, reason="blessed", version="2", path="/serving/2", there=False),
            Push("held", pushed=False, reason="not blessed by the Evaluator", version=None, path=None, there=False),
        ],
        predictions=[
            _predictions("predictions", rows=1200, results=1197, errors=3, path="/runs/7", model="version 3 of digits"),
            _predictions("held", scored=False, reason="not blessed"),
        ],
        samples=Samples(
            "/serving/3",
            "serving_default",
            [Sample("7", "7", 0.98, right=True), Sample("1", "2", None, right=False), Sample("1.5", "1.4", None, None)],
        ),
        anomalies={"validator (eval)": ["color: new value"], "validator (train)": []},
    )


def test_what_a_run_achieved(summary):
    text = shown(StepRun("pusher", "Pusher", "ran", 1.0), summary=summary)
    for line in (
        "Anomalies, validator (eval)\n  color: new value",
        "  overall: auc 0.5123",
        "  not blessed:\n    auc on overall: 0.5, and so on",
        "Flatbuffers, tflite: blessed int8 1 kB\n  not float32: too large\n  /runs/report.md",
        "Pushed version 3 to /serving/3",
        "Pushed version 1 (float16, int8) to /lite/1",
        "Version 2 is no longer at /serving/2; --from old pushes again",
        "Not pushed, held: not blessed by the Evaluator",
        "Scored 1,200 rows with version 3 of digits, 3 errors: /runs/7",
        "Nothing scored, held: not blessed",
        "  ✓ predicted 7, true label 7  (98.0%)",
        "  ✗ predicted 2, true label 1",
        "  · predicted 1.4, true label 1.5",
    ):
        assert line in text
    assert "validator (train)" not in text


def test_plain_progress_is_one_line_a_step():
    stream = io.StringIO()
    with PlainProgress(Console(file=stream, width=100)) as progress:
        progress.preparing("run1", Path("/runs/logs/run1"))
        progress.prepared(GRAPH, 8.25)
        progress.started("trainer")
        progress.finished(StepRun("trainer", "Trainer", "ran", 1.26))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "run run1, logs in /runs/logs/run1"
    assert lines[2] == "0 steps, ready after 8.2 s"
    assert lines[3] == "[1/0] ✓ trainer        ran  1.3 s"
