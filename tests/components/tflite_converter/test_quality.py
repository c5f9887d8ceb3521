"""Metrics are Keras's, and those that make no sense are refused."""

import numpy as np
import pytest

from penstock.components.tflite_converter.metrics import METRICS
from penstock.components.tflite_converter.quality import Quality
from penstock.errors import ArtifactError


def value(name, labels, answers):
    quality = Quality(name)
    quality.add(np.array(labels), np.array(answers, np.float32))
    return round(quality.result(), 4)


THREE = [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]]


@pytest.mark.parametrize(
    ("name", "labels", "answers", "expected"),
    [
        ("accuracy", [[0], [1]], THREE, 0.5),
        ("accuracy", [0, 2], THREE, 1.0),
        ("accuracy", [[1, 0, 0], [0, 1, 0]], THREE, 0.5),
        ("accuracy", [[0], [1], [1]], [[0.2], [0.7], [0.4]], 0.6667),
        ("sparse_categorical_accuracy", [[0], [1]], THREE, 0.5),
        ("categorical_accuracy", [[1, 0, 0], [0, 0, 1]], THREE, 1.0),
        ("binary_accuracy", [1.0, 0.0], [0.9, 0.9], 0.5),
        ("sparse_top_k_categorical_accuracy", [0, 1], THREE, 1.0),
        ("auc", [0, 1, 1, 0], [0.1, 0.9, 0.8, 0.2], 1.0),
        ("precision", [0, 1], [0.9, 0.9], 0.5),
        ("recall", [1, 1], [0.9, 0.1], 0.5),
        ("mse", [[1.0], [2.0]], [[2.0], [4.0]], 2.5),
        ("mae", [1.0, 2.0], [2.0, 4.0], 1.5),
        ("rmse", [1.0, 2.0], [2.0, 4.0], 1.5811),
        ("r2_score", [1.0, 2.0, 3.0], [1.0, 2.0, 3.0], 1.0),
        ("sparse_categorical_crossentropy", [0, 2], THREE, 0.3567),
    ],
)
def test_values(name, labels, answers, expected):
    assert value(name, labels, answers) == expected


def test_batches_add_up():
    quality = Quality("accuracy")
    quality.add(np.array([0]), np.array(THREE[:1]))
    quality.add(np.array([0]), np.array(THREE[1:]))
    assert quality.result() == 0.5


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_kerass(name):
    import keras

    kind = METRICS[name].keras
    assert name == "accuracy" or hasattr(keras.metrics, kind)


def test_losses_and_errors_are_better_when_they_are_smaller():
    smaller = {name for name, metric in METRICS.items() if not metric.higher_is_better}
    assert smaller == {name for name in METRICS if "error" in name or "crossentropy" in name} | {"mse", "mae", "rmse"}


@pytest.mark.parametrize(
    ("name", "labels", "received", "expected"),
    [
        ("auc", [0, 1], "1 label values a row and 3 outputs", "one label value for each output"),
        ("sparse_categorical_accuracy", [[0, 1], [1, 0]], "2 label values a row", "one label a row, the number of its"),
        ("accuracy", ["cat", "dog"], "a label that is text", "numbers, as Transform makes them: wire"),
    ],
)
def test_what_cannot_be_computed(name, labels, received, expected):
    with pytest.raises(ArtifactError) as raised:
        value(name, labels, THREE)
    assert str(raised.value).startswith(
        f"the metric {name!r} cannot be computed\n  received: {received}\n  expected: {expected}"
    )
