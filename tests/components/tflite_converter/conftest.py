"""SavedModels that are small enough to convert in a fraction of a second, and rows for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.tflite_converter.config import Mode, TFLiteConverterConfig
from penstock.components.tflite_converter.modes import to_flatbuffer

CLASSES, WIDTH, ROWS = 3, 6, 60


def save(folder: Path, functions: Mapping[str, Any], **state: Any) -> Path:
    """Write a SavedModel with these signatures; ``state`` is what they capture."""
    import tensorflow as tf

    module = tf.Module()
    for name, value in state.items():
        setattr(module, name, value)
    tf.saved_model.save(module, str(folder), signatures=dict(functions))
    return folder


def write_rows(file: Path, rows: Sequence[Mapping[str, Sequence[Any]]], compression: str = "") -> Path:
    """Write tf.Examples of floats, integers and texts."""
    import tensorflow as tf

    file.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(file), compression) as writer:
        for row in rows:
            features = {name: _feature(values) for name, values in row.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return file


def flatbuffer(saved_model: Path, mode: Mode, config: TFLiteConverterConfig, calls: Any = None) -> bytes:
    """Convert, and fail where there is a reason why not."""
    content = to_flatbuffer(saved_model, mode, config, calls or no_calls)
    assert isinstance(content, bytes), content
    return content


def no_calls() -> Iterator[Any]:
    """Rows for modes that need none."""
    yield from ()


def _feature(values: Sequence[Any]) -> Any:
    import tensorflow as tf

    if not values:
        return tf.train.Feature()
    if isinstance(values[0], str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode() for value in values]))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel that picks the class whose prototype a row of six numbers, 0 to 10, is nearest to.

    ``predict`` scales as Transform does, with the decision whether the feature is constant inside the graph;
    ``probabilities_and_score`` has two outputs; ``serving_default`` takes serialized rows.
    """
    import tensorflow as tf

    weights = tf.Variable(np.eye(CLASSES).repeat(2, axis=0) * 8, dtype=tf.float32)
    bias = tf.Variable([0.1, 0.0, -0.1])

    def classify(x: Any) -> Any:
        hidden = tf.nn.relu(tf.matmul(scaled(x), weights) + bias)
        return tf.nn.softmax(hidden)

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, "x")])
    def predict(x: Any) -> Any:
        return {"probabilities": classify(x)}

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, "x")])
    def two(x: Any) -> Any:
        return {"probabilities": classify(x), "score": tf.reduce_max(classify(x), axis=1, keepdims=True)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "examples")])
    def serve(examples: Any) -> Any:
        return predict(tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([WIDTH], tf.float32)})["x"])

    functions = {"predict": predict, "probabilities_and_score": two, "serving_default": serve}
    folder = tmp_path_factory.mktemp("classifier") / "model"
    return save(folder, functions, weights=weights, bias=bias)


def scaled(x: Any) -> Any:
    """Scale 0…10 to 0…1 with the ops of Transform's ``scale_to_0_1``."""
    import tensorflow as tf

    low, high = tf.constant(0.0), tf.constant(10.0)
    shifted = x - low
    varies = tf.cast(tf.zeros_like(shifted) + tf.cast(low < high, tf.float32), tf.bool)
    return tf.where(varies, shifted / (high - low), tf.sigmoid(x))


@pytest.fixture(scope="session")
def cholesky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel with an op that LiteRT has not, in a layer of a name."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None, 2, 2], tf.float32, "x")])
    def predict(x: Any) -> Any:
        with tf.name_scope("whitening"):
            return {"y": tf.nn.relu(tf.linalg.cholesky(x))}

    return save(tmp_path_factory.mktemp("cholesky") / "model", {"predict": predict})


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows for :func:`classifier`, twenty of each class."""
    random = np.random.default_rng(0)
    labels = np.arange(ROWS) % CLASSES
    values = random.uniform(0, 4, (ROWS, WIDTH)) + 6 * np.eye(CLASSES).repeat(2, axis=1)[labels]
    examples: list[dict[str, Any]] = [
        {"x": [float(v) for v in row], "label": [int(label)], "name": [f"class {label}"]}
        for row, label in zip(values, labels, strict=True)
    ]
    return write_rows(tmp_path_factory.mktemp("rows") / "rows.tfrecord.gz", examples, "GZIP")
