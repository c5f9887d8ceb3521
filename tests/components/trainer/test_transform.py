"""The Trainer behind a real transform graph, with raw and with materialised examples."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ArtifactError
from tests.components.trainer.data import Row, serialize, write_shard

BUILD = """
def build(context):
    keras = context.keras
    assert context.tf_transform_output is not None
    inputs = context.inputs()
    inputs.pop("leak")
    size = context.tf_transform_output.vocabulary_size_by_name("color")
    color = keras.layers.CategoryEncoding(size, output_mode="one_hot")(inputs["color_id"])
    joined = keras.layers.Concatenate()([inputs["scaled"], color, inputs["filled"]])
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(joined))
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@dataclass(frozen=True)
class Transformed:
    graph: Path
    raw: tuple[str, ...]
    materialised: tuple[str, ...]


def rows() -> list[Row]:
    made: list[Row] = []
    for number in range(96):
        even = number % 2 == 0
        made.append(
            {
                "size": [float(number % 7 + (40 if even else 0))],
                "color": ["red" if number % 3 else "blue"],
                "bonus": [0.0] if number % 4 == 0 else [2.0] if number % 4 == 1 else [],
                "unused": ["x"],
                "kind": ["even" if even else "odd"],
            }
        )
    return made


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    import tensorflow as tf
    import tensorflow_transform as tft

    present = tf.sparse.to_dense(tf.sparse.map_values(tf.ones_like, inputs["bonus"]))
    any_bonus = tf.reduce_sum(present, axis=1, keepdims=True)
    kind = tf.cast(tf.equal(inputs["kind"], "even"), tf.int64)
    return {
        "scaled": tft.scale_to_z_score(inputs["size"]),
        "color_id": tft.compute_and_apply_vocabulary(inputs["color"], vocab_filename="color"),
        "filled": any_bonus,
        "leak": tf.cast(kind, tf.float32),
        "is_even": kind,
    }


@pytest.fixture(scope="module")
def transformed(tmp_path_factory: pytest.TempPathFactory) -> Transformed:
    import tensorflow as tf
    import tensorflow_transform as tft
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

    folder = tmp_path_factory.mktemp("transform")
    spec = {
        "size": tf.io.FixedLenFeature([1], tf.float32),
        "color": tf.io.FixedLenFeature([1], tf.string),
        "bonus": tf.io.VarLenFeature(tf.float32),
        "unused": tf.io.FixedLenFeature([1], tf.string),
        "kind": tf.io.FixedLenFeature([1], tf.string),
    }
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    raw = rows()
    with tft_beam.Context(temp_dir=str(folder / "temp")):
        (data, _), transform_fn = (raw, metadata) | tft_beam.AnalyzeAndTransformDataset(preprocessing_fn)
        _ = transform_fn | tft_beam.WriteTransformFn(str(folder / "graph"))
    metadata_io.write_metadata(metadata, str(folder / "graph" / tft.TFTransformOutput.RAW_METADATA_DIR))
    plain = [{name: value.tolist() for name, value in row.items()} for row in data]
    return Transformed(
        folder / "graph",
        (write_shard(folder / "raw.gz", raw),),
        (write_shard(folder / "transformed.gz", plain),),
    )


@pytest.mark.parametrize("keras", ["keras", "tf_keras"])
def test_serves_raw_features_with_the_graph_inside(
    request_for: Callable[..., Any], transformed: Transformed, tmp_path: Path, keras: str
) -> None:
    from penstock.components.trainer.request import SplitFiles
    from penstock.components.trainer.train import train
    from penstock.serving.saved_model import load_in_graph, read_signatures

    request = request_for(
        BUILD,
        with_={"label": "is_even", "epochs": 6, "keras": keras},
        files=SplitFiles(transformed.materialised, transformed.materialised, transformed.raw, transformed=True),
        schema=None,
        transform_graph=transformed.graph,
    )
    assert float(train(request).properties["val_accuracy"]) > 0.95
    report = json.loads((request.run_folder / "training_report.json").read_text())
    assert [(check["signature"], check["rows"]) for check in report["signatures"]] == [
        ("predict", 64),
        ("serving_default", 64),
    ]

    moved = (tmp_path / "model").rename(tmp_path / "moved") / "Format-Serving"
    predict = next(signature for signature in read_signatures(moved) if signature.name == "predict")
    assert {tensor.name: tensor.shape for tensor in predict.inputs} == {
        "bonus": (None, None),
        "color": (None, 1),
        "size": (None, 1),
    }
    row: dict[str, Any] = {"size": [41.0], "color": ["red"], "bonus": [0.0]}
    with load_in_graph(moved) as model:
        served = model.call("serving_default", {"examples": [serialize(row)]})["outputs"]
        zero = model.call("predict", {name: [value] for name, value in row.items()})["outputs"]
        missing = model.call("predict", {**{name: [value] for name, value in row.items()}, "bonus": [[float("nan")]]})
    assert served.argmax() == 1
    assert zero == pytest.approx(served)
    assert missing["outputs"] != pytest.approx(served)


def test_materialised_examples_give_the_same_batches(transformed: Transformed) -> None:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import RowParser
    from penstock.components.trainer.preprocessing import load_preprocessing

    preprocessing = load_preprocessing(transformed.graph, None)
    inputs = ("scaled", "color_id", "filled")
    computing = RowParser(preprocessing.raw_spec, preprocessing.apply, inputs, "is_even")
    reading = RowParser(preprocessing.model_spec, dict, inputs, "is_even")

    def batch(files: tuple[str, ...], parser: RowParser) -> Any:
        return parser(next(iter(tf.data.TFRecordDataset(files, "GZIP").batch(96))))

    computed, computed_label = batch(transformed.raw, computing)
    read, read_label = batch(transformed.materialised, reading)
    assert read_label.numpy().tolist() == computed_label.numpy().tolist()
    assert len(read_label) == 96
    for name in inputs:
        assert read[name].numpy() == pytest.approx(computed[name].numpy())
        assert read[name].dtype == computed[name].dtype


def test_an_input_that_is_computed_from_a_feature_outside_serving(transformed: Transformed) -> None:
    from penstock.components.trainer.preprocessing import load_preprocessing, serving_spec

    preprocessing = load_preprocessing(transformed.graph, None)
    assert sorted(serving_spec(preprocessing, ["scaled", "color_id"], "is_even")) == ["color", "size"]
    with pytest.raises(ArtifactError, match="the model's inputs need kind, which no request holds in serving"):
        serving_spec(preprocessing, ["scaled", "leak"], "kind")


def test_a_graph_that_is_not_there(tmp_path: Path) -> None:
    from penstock.components.trainer.preprocessing import load_preprocessing

    with pytest.raises(ArtifactError, match="the transform graph cannot be read") as caught:
        load_preprocessing(tmp_path, None)
    assert caught.value.where == str(tmp_path)
