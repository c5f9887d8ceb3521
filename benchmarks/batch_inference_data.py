"""Rows and models for the batch inference benchmark: the digits, over and over, each row with a number of its own."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.serving._tensors import from_proto

if TYPE_CHECKING:
    import numpy as np

IMAGE, NUMBER = "image", "id"
PIXELS, CLASSES = 64, 10
OUTPUTS = ("label", "probabilities")
FILES = 4


def write_rows(folder: Path, rows: int) -> None:
    """Write gzip TFRecords of tf.Examples as TFX writes them: 64 floats and a number from 0 on, which no two share."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True)
    images = load_digits().data.astype("float32")
    # All but the number is the same for each digit: written once, it need not be made a million times.
    prefixes = [_example({IMAGE: tf.train.Feature(float_list=tf.train.FloatList(value=image))}) for image in images]
    for file in range(FILES):
        path = str(folder / f"digits-{file:05d}-of-{FILES:05d}.tfrecord.gz")
        with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions("GZIP", compression_level=1)) as writer:
            for number in range(rows * file // FILES, rows * (file + 1) // FILES):
                own = _example({NUMBER: tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))})
                # Serialized messages that stand one after the other are one message with the fields of both.
                writer.write(prefixes[number % len(prefixes)] + own)


def _example(feature: dict[str, Any]) -> bytes:
    import tensorflow as tf

    return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def export_dense(folder: Path) -> Path:
    """Export a model whose own work is short, so that what surrounds it counts: 64 → 64 → softmax of 10."""
    import tensorflow as tf

    random = tf.random.Generator.from_seed(1)
    first, second = tf.Variable(random.normal([PIXELS, 64]) / 8), tf.Variable(random.normal([64, CLASSES]) / 8)
    return _export(folder, [first, second], lambda image: tf.nn.relu(image / 16 @ first) @ second)


def export_cnn(folder: Path) -> Path:
    """Export a heavier model: the convolutional network of ``examples/digits``, twice as wide."""
    import tensorflow as tf

    random = tf.random.Generator.from_seed(2)
    shapes = ([3, 3, 1, 32], [3, 3, 32, 64], [4 * 4 * 64, 128], [128, CLASSES])
    weights = [tf.Variable(random.normal(shape) / math.prod(shape[:-1]) ** 0.5) for shape in shapes]

    def logits(image: Any) -> Any:
        x = tf.reshape(image / 16, [-1, 8, 8, 1])
        x = tf.nn.relu(tf.nn.conv2d(x, weights[0], 1, "SAME"))
        x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, weights[1], 1, "SAME")), 2, 2, "VALID")
        return tf.nn.relu(tf.reshape(x, [-1, 4 * 4 * 64]) @ weights[2]) @ weights[3]

    return _export(folder, weights, logits)


def _export(folder: Path, variables: list[Any], logits: Callable[[Any], Any]) -> Path:
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def answer(examples: Any) -> dict[str, Any]:
        features = tf.io.parse_example(examples, {IMAGE: tf.io.FixedLenFeature([PIXELS], tf.float32)})
        probabilities = tf.nn.softmax(logits(features[IMAGE]))
        return {"label": tf.argmax(probabilities, axis=1), "probabilities": probabilities}

    module = tf.Module()
    module.variables_ = variables
    module.answer = answer
    tf.saved_model.save(module, str(folder), signatures=answer)
    return folder


def predictions_by_number(logs: Path, rows: int) -> np.ndarray[Any, Any]:
    """Return what the PredictionLogs in a folder say of each row.

    Args:
        logs: Folder with gzip TFRecords.
        rows: Rows that there must be, a count.

    Returns:
        Label, then probabilities: float32 [rows, 1 + CLASSES], ordered by the rows' numbers.
    """
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    examples, answers = [], []
    files = sorted(map(str, logs.glob("*.gz")))
    # Record by record TensorFlow would take longer than all the rest.
    for records in tf.data.TFRecordDataset(files, "GZIP").batch(10_000).as_numpy_iterator():
        for record in records:
            log = prediction_log_pb2.PredictionLog.FromString(record).predict_log
            examples.append(log.request.inputs["examples"].string_val[0])
            answers.append(np.concatenate([from_proto(log.response.outputs[name], name).ravel() for name in OUTPUTS]))
    spec = {NUMBER: tf.io.FixedLenFeature([], tf.int64)}
    numbers = tf.io.parse_example(tf.constant(examples), spec)[NUMBER].numpy()
    if not np.array_equal(np.sort(numbers), np.arange(rows)):
        raise SystemExit(f"{logs} holds {len(numbers)} predictions, and not one of each of {rows} rows")
    found = np.empty((rows, 1 + CLASSES), np.float32)
    found[numbers] = answers
    return found
