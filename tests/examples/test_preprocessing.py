"""The examples' ``preprocessing_fn``s, run by TensorFlow Transform on a few rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits.preprocessing import preprocessing_fn as digits
from examples.wine.preprocessing import preprocessing_fn as wine


def _transform(tmp_path: Path, function: Any, rows: list[dict[str, Any]], features: dict[str, Any]) -> list[Any]:
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(features))
    with tft_beam.Context(temp_dir=str(tmp_path)):
        (transformed, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(function)
    return list(transformed)


@pytest.mark.parametrize("side", [2, 3])
def test_digits_are_scaled_and_square(tmp_path: Path, side: int):
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature([side * side], tf.float32),
        "label": tf.io.FixedLenFeature([1], tf.int64),
    }
    rows = [{"image": np.full(side * side, value, np.float32), "label": [value % 10]} for value in (0, 4, 16)]
    transformed = _transform(tmp_path, digits, rows, features)
    assert [row["image"].shape for row in transformed] == [(side, side, 1)] * 3
    assert [row["image"].max() for row in transformed] == [0, 0.25, 1]
    assert [row["label"].tolist() for row in transformed] == [[0], [4], [6]]


def test_wine_columns_are_scored_bucketed_and_indexed(tmp_path: Path):
    import tensorflow as tf

    features = {
        "alcohol": tf.io.FixedLenFeature([1], tf.float32),
        "color_band": tf.io.FixedLenFeature([1], tf.string),
        "cultivar": tf.io.FixedLenFeature([1], tf.int64),
    }
    bands = [b"deep", b"deep", b"pale", b"deep", b"pale", b"medium", b"deep", b"pale"]
    rows = [
        {"alcohol": [float(11 + index)], "color_band": [band], "cultivar": [index % 3]}
        for index, band in enumerate(bands)
    ]
    transformed = _transform(tmp_path, wine, rows, features)
    columns = {name: np.concatenate([row[name] for row in transformed]) for name in transformed[0]}
    np.testing.assert_allclose([columns["alcohol"].mean(), columns["alcohol"].std()], [0, 1], atol=1e-6)
    assert columns["alcohol_bucket"].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert columns["color_band"].tolist() == [0, 0, 1, 0, 1, 2, 0, 1]
    assert columns["cultivar"].tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
