"""Random rows for benchmarks of whole trainings, and the request that trains on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from penstock.components.trainer.request import TrainRequest

MEASURES = "measures"
WIDTH = 10
"""Numbers of a row."""
PLACES = "places"
PLACES_A_ROW = 4
PLACE_COUNT = 100_000
"""Values that a place can take: rows of the table that embeds it."""
LABEL = "label"
CLASSES = 10
EVALUATION_ROWS = 64
SCHEMA = "\n".join(
    f'feature {{ name: "{name}" type: {kind} shape {{ dim {{ size: {size} }} }} presence {{ min_fraction: 1 }} }}'
    for name, kind, size in ((MEASURES, "FLOAT", WIDTH), (PLACES, "INT", PLACES_A_ROW), (LABEL, "INT", 1))
)
"""The schema of a row, in protobuf text format."""


@dataclass(frozen=True)
class Rows:
    """Rows on disk.

    Args:
        training: Gzip TFRecord shards of equal size.
        evaluation: One shard of :data:`EVALUATION_ROWS` rows.
        schema: The schema's file.
        count: Training rows.
    """

    training: tuple[str, ...]
    evaluation: tuple[str, ...]
    schema: Path
    count: int


def write_rows(folder: Path, *, rows: int, shards: int) -> Rows:
    """Write ``rows`` training rows in shards, a few to evaluate with, and the schema."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    projection = random.normal(size=(WIDTH, CLASSES))
    training = tuple(
        _write_shard(folder / f"train-{shard:05d}-of-{shards:05d}.gz", rows // shards, random, projection)
        for shard in range(shards)
    )
    evaluation = _write_shard(folder / "eval-00000-of-00001.gz", EVALUATION_ROWS, random, projection)
    schema = folder / "schema.pbtxt"
    schema.write_text(SCHEMA, encoding="utf-8")
    return Rows(training, (evaluation,), schema, rows // shards * shards)


def request_on(rows: Rows, folder: Path, options: Mapping[str, Any]) -> TrainRequest:
    """Return a training on the rows that leaves all it makes under ``folder``.

    Args:
        rows: What to train on.
        folder: Folder for the model, the reports, the log and the checkpoints; it must not exist.
        options: The Trainer's parameters beside the label.
    """
    from penstock.components.trainer.config import TrainerConfig
    from penstock.components.trainer.request import SplitFiles, TrainRequest

    folder.mkdir(parents=True)
    return TrainRequest(
        config=TrainerConfig.model_validate({"label": LABEL, **options}),
        files=SplitFiles(rows.training, rows.evaluation, rows.evaluation),
        saved_model=folder / "model" / "Format-Serving",
        keras_file=folder / "model" / "Format-Keras" / "model.keras",
        run_folder=folder / "run",
        schema=rows.schema,
        checkpoints=folder / "checkpoints",
        log=folder / "trainer.log",
    )


def _write_shard(path: Path, rows: int, random: np.random.Generator, projection: Any) -> str:
    import tensorflow as tf

    measures = random.normal(size=(rows, WIDTH)).astype(np.float32)
    places = random.integers(PLACE_COUNT, size=(rows, PLACES_A_ROW))
    labels = (measures @ projection).argmax(axis=1)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in range(rows):
            example = tf.train.Example()
            feature = example.features.feature
            feature[MEASURES].float_list.value.extend(measures[row].tolist())
            feature[PLACES].int64_list.value.extend(places[row].tolist())
            feature[LABEL].int64_list.value.append(int(labels[row]))
            writer.write(example.SerializeToString())
    return str(path)
