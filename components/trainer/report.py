"""What a training run leaves beside its model: ``history.json`` and ``training_report.json``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.components.trainer.fit import FitOutcome
from penstock.components.trainer.predict_gate import SignatureCheck


@dataclass(frozen=True)
class TrainingReport:
    """A training run in figures.

    Args:
        model_fn: Import path of the function that made the model.
        strategy: Name of the distribution strategy.
        replicas: Replicas trained in step, a count.
        global_batch_size: Rows of one step over all replicas.
        epochs: Passes over the training split, or None if the length was given in steps.
        steps: Training steps, a count of global batches.
        parameters: Weights of the model, a count.
        wall_seconds: Time of training and validation.
        examples_per_second: Rows trained on, each pass counted, divided by ``wall_seconds``.
        final_metrics: Loss and metrics of the last epoch; ``val_`` before those of the evaluation split.
        hparams: Hyperparameters as the model saw them.
        seed: Seed of the run.
        signatures: What the predict gate found, one entry a signature.
        keras_version: Version of Keras.
        tensorflow_version: Version of TensorFlow.
    """

    model_fn: str
    strategy: str
    replicas: int
    global_batch_size: int
    epochs: int | None
    steps: int
    parameters: int
    wall_seconds: float
    examples_per_second: float
    final_metrics: dict[str, float]
    hparams: dict[str, Any]
    seed: int
    signatures: tuple[SignatureCheck, ...]
    keras_version: str
    tensorflow_version: str


def write_report(folder: Path, outcome: FitOutcome, report: TrainingReport) -> None:
    """Write ``history.json`` and ``training_report.json`` into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "history.json", outcome.history)
    _write_json(folder / "training_report.json", asdict(report))


def _write_json(path: Path, data: Any) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        json.dump(data, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
