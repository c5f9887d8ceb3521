"""What a training is asked for and what it answers, as plain data that can be handed to another process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from penstock.components.trainer.config import TrainerConfig


@dataclass(frozen=True)
class SplitFiles:
    """The TFRecord files of the splits that a run reads.

    Args:
        train: Files to train on.
        evaluation: Files for validation.
        raw_evaluation: Raw examples of the evaluation split, for the predict gate.
        transformed: ``train`` and ``evaluation`` are already transformed.
    """

    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    raw_evaluation: tuple[str, ...]
    transformed: bool = False


@dataclass(frozen=True)
class TrainRequest:
    """One training run.

    Args:
        config: The Trainer's parameters.
        files: What to read.
        saved_model: Folder that the SavedModel becomes; one that an earlier attempt left is replaced.
        keras_file: File that the whole model becomes, ``.keras``.
        run_folder: Folder for the run's reports.
        schema: File of the raw schema; needed without a transform graph.
        transform_graph: Transform's output folder, or None.
        tuned_hparams: Hyperparameters of a Tuner, which override those of the configuration.
        base_model: ``.keras`` file to start from, or None.
        checkpoints: Folder of this training's checkpoints, and of no other, that outlives a killed process; None keeps
            them only as long as the process lives.
        tensorboard: Folder for TensorBoard's logs. None: ``run_folder``.
        log: The step's log file; a cluster's tasks log beside it. None: into a temporary folder.
    """

    config: TrainerConfig
    files: SplitFiles
    saved_model: Path
    keras_file: Path
    run_folder: Path
    schema: Path | None = None
    transform_graph: Path | None = None
    tuned_hparams: Mapping[str, Any] = field(default_factory=dict)
    base_model: Path | None = None
    checkpoints: Path | None = None
    tensorboard: Path | None = None
    log: Path | None = None


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Args:
        properties: What is recorded of the model: strategy, steps, final metrics, versions and so on, by name.
    """

    properties: Mapping[str, str | int | float]


def to_json(request: TrainRequest) -> str:
    """Return a request as JSON; :func:`from_json` is the inverse."""
    data = {item.name: getattr(request, item.name) for item in fields(request)}
    data["config"] = request.config.model_dump(mode="json", by_alias=True)
    data["files"] = asdict(request.files)
    return json.dumps({name: str(value) if isinstance(value, Path) else value for name, value in data.items()})


def from_json(text: str) -> TrainRequest:
    """Return the request that :func:`to_json` wrote."""
    data = json.loads(text)
    config = TrainerConfig.model_validate(data.pop("config"))
    files = {name: tuple(value) if isinstance(value, list) else value for name, value in data.pop("files").items()}
    tuned = data.pop("tuned_hparams")
    paths = {name: None if value is None else Path(value) for name, value in data.items()}
    return TrainRequest(config=config, files=SplitFiles(**files), tuned_hparams=tuned, **paths)  # type: ignore[arg-type]
