"""Tiny data sets that the Trainer's tests read, and the requests that read them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = """
feature { name: "point" type: FLOAT shape { dim { size: 2 } } presence { min_fraction: 1 } }
feature { name: "color" type: BYTES shape { dim { size: 1 } } presence { min_fraction: 1 } }
feature { name: "weight" type: FLOAT value_count { min: 1 max: 1 } presence { min_fraction: 0.5 } }
feature { name: "tags" type: BYTES value_count { min: 0 max: 9 } presence { min_fraction: 0.5 } }
feature { name: "reviewed" type: INT shape { dim { size: 1 } } presence { min_fraction: 1 }
          not_in_environment: "SERVING" }
feature { name: "label" type: INT shape { dim { size: 1 } } presence { min_fraction: 1 } }
default_environment: "TRAINING"
default_environment: "SERVING"
"""

Row = Mapping[str, Any]


def separable_rows(count: int, seed: int) -> list[Row]:
    """Return points whose label says which of the two coordinates is larger, by a margin."""
    random_source = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        label = number % 2
        small, large = random_source.uniform(-1, 0), random_source.uniform(0.2, 1)
        rows.append(
            {
                "point": [small, large] if label else [large, small],
                "color": ["red" if label else "blue"],
                "weight": [random_source.random()] if number % 3 else [],
                "tags": ["a", "b", "c"][: number % 4],
                "reviewed": [1],
                "label": [label],
            }
        )
    return rows


def serialize(row: Row) -> bytes:
    """Return a row as a serialized tf.Example; an empty list is a missing feature."""
    import tensorflow as tf

    example = tf.train.Example()
    for name, values in row.items():
        feature = example.features.feature[name]
        for value in values:
            if isinstance(value, float):
                feature.float_list.value.append(value)
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.bytes_list.value.append(value.encode())
    return bytes(example.SerializeToString())


def write_shard(path: Path, rows: Iterable[Row]) -> str:
    """Write rows as a gzip TFRecord file, as TFX does."""
    import tensorflow as tf

    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for row in rows:
            writer.write(serialize(row))
    return str(path)


@dataclass(frozen=True)
class ToyData:
    """Files of a data set on disk."""

    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    schema: Path


def write_toy_data(folder: Path) -> ToyData:
    """Write 256 training rows in two shards and 64 evaluation rows in one."""
    rows = separable_rows(256, seed=1)
    shards = [
        write_shard(folder / "Split-train" / f"data_tfrecord-{part:05d}-of-00002.gz", rows[part::2]) for part in (0, 1)
    ]
    evaluation = write_shard(folder / "Split-eval" / "data_tfrecord-00000-of-00001.gz", separable_rows(64, seed=2))
    schema = folder / "schema.pbtxt"
    schema.write_text(SCHEMA)
    return ToyData(tuple(shards), (evaluation,), schema)


def toy_context(preprocessing: Any, keras: Any, **fields: Any) -> Any:
    """Return what ``model_fn`` receives on the toy data; keywords override its fields."""
    from penstock.components.trainer.context import HParams, TrainerContext

    hidden = {"label", "reviewed"}
    given = {
        "hparams": HParams({}),
        "feature_spec": {name: spec for name, spec in preprocessing.model_spec.items() if name not in hidden},
        "label": "label",
        "schema": preprocessing.schema,
        "tf_transform_output": preprocessing.tf_transform_output,
        "num_replicas": 1,
        "global_batch_size": 16,
        "keras": keras,
    }
    return TrainerContext(**{**given, **fields})


def keras_3() -> Any:
    """Return Keras 3, whatever ``tf.keras`` is here: in a process with TFX it is tf_keras."""
    import keras

    from penstock.components.trainer.keras_3 import Keras3

    return Keras3(keras)
