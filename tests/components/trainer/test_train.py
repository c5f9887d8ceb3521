from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from penstock.errors import ArtifactError, ConfigError, UserCodeError
from tests.components.trainer.data import SCHEMA, ToyData, separable_rows, serialize, write_shard

Make = Callable[..., Any]


def written(request: Any) -> dict[str, Any]:
    """Return the report that a training left."""
    report: dict[str, Any] = json.loads((request.run_folder / "training_report.json").read_text())
    return report


def test_learns_exports_and_reports(request_for: Make, caplog: pytest.LogCaptureFixture) -> None:
    import keras
    import numpy as np

    from penstock.components.trainer.train import train
    from penstock.serving.saved_model import load_in_graph

    request = request_for(with_={"epochs": 3, "hparams": {"rate": 0.1, "depth": 1}}, tuned_hparams={"rate": 0.2})
    with caplog.at_level(logging.INFO, logger="penstock.components.trainer"):
        recorded = train(request).properties

    report = written(request)
    course = report["course"]
    assert course["final_metrics"]["val_accuracy"] > 0.95
    assert (course["steps"], course["epochs"], report["replicas"], report["global_batch_size"]) == (48, 3, 1, 16)
    assert report["parameters"] == 6
    assert {(check["signature"], check["rows"], check["not_checked"]) for check in report["signatures"]} == {
        ("predict", 64, None),
        ("serving_default", 64, None),
    }
    assert recorded["val_accuracy"] == course["final_metrics"]["val_accuracy"]
    history = json.loads((request.run_folder / "history.json").read_text())
    assert sorted(history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert len(history["loss"]) == 3
    assert report["hparams"] == {"rate": 0.2, "depth": 1}
    assert any(line.startswith("epoch 3/3: 16 steps in ") and "val_loss" in line for line in caplog.messages)
    assert "global batch 16" in caplog.text

    rows = separable_rows(8, seed=5)
    with load_in_graph(request.saved_model) as model:
        by_example = model.call("serving_default", {"examples": [serialize({"point": r["point"]}) for r in rows]})
        by_name = model.call("predict", {"point": [row["point"] for row in rows]})
    assert list(by_example) == ["outputs"]
    assert by_example["outputs"].argmax(axis=1).tolist() == [row["label"][0] for row in rows]
    assert by_name["outputs"] == pytest.approx(by_example["outputs"])
    points = np.array([row["point"] for row in rows], np.float32)
    kept = keras.models.load_model(request.keras_file)({"point": points})
    assert kept.numpy() == pytest.approx(by_name["outputs"], abs=1e-6)
    assert sorted(path.name for path in request.saved_model.parent.iterdir()) == ["Format-Keras", "Format-Serving"]


def test_the_same_seed_gives_the_same_weights(request_for: Make) -> None:
    import keras

    from penstock.components.trainer.train import train

    def weights(name: str) -> list[float]:
        request = request_for(with_={"seed": 7, "epochs": 2})
        request = replace(
            request, saved_model=request.saved_model / name, keras_file=request.keras_file.parent / name / "m.keras"
        )
        train(request)
        return [float(x) for w in keras.models.load_model(request.keras_file).get_weights() for x in w.flatten()]

    assert weights("first") == weights("second")


def test_a_subclassed_model_trains_for_a_number_of_steps(request_for: Make) -> None:
    from penstock.components.trainer.train import train
    from penstock.serving.saved_model import read_signatures

    request = request_for(
        """
        import keras
        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.norm = keras.layers.BatchNormalization()
                self.drop = keras.layers.Dropout(0.5)
                self.score = keras.layers.Dense(2, activation="softmax")
            def call(self, features, training=False):
                assert sorted(features) == ["color", "point", "tags", "weight"]
                return self.score(self.drop(self.norm(features["point"], training=training), training=training))
        def build(context):
            model = Net()
            model.compile("adam", "sparse_categorical_crossentropy")
            return model
        """,
        with_={"steps": 20},
    )
    train(request)
    report = written(request)
    assert (report["course"]["steps"], report["course"]["epochs"]) == (20, None)
    assert [(check["signature"], check["rows"]) for check in report["signatures"]] == [
        ("predict", 64),
        ("serving_default", 64),
    ]
    predict = next(signature for signature in read_signatures(request.saved_model) if signature.name == "predict")
    assert [tensor.name for tensor in predict.inputs] == ["color", "point", "tags", "weight"]


def test_every_kind_of_feature_reaches_model_and_server(request_for: Make) -> None:
    from penstock.components.trainer.train import train
    from penstock.serving.saved_model import load_in_graph

    request = request_for(
        """
        def build(context):
            keras = context.keras
            assert sorted(context.feature_spec) == ["color", "point", "tags", "weight"]
            inputs = context.inputs()
            color = keras.layers.StringLookup(vocabulary=["red", "blue"], output_mode="one_hot")(inputs["color"])
            tags = keras.layers.StringLookup(vocabulary=["a", "b"], output_mode="multi_hot")(inputs["tags"])
            joined = keras.layers.Concatenate()([color, tags, inputs["point"], inputs["weight"]])
            named = {"scores": keras.layers.Dense(2, activation="softmax")(joined)}
            model = keras.Model(inputs, named)
            model.compile("adam", {"scores": "sparse_categorical_crossentropy"})
            return model
        """
    )
    train(request)
    row: dict[str, Any] = {"point": [0.5, -0.5], "color": ["red"], "weight": [], "tags": ["a", "b"]}
    with load_in_graph(request.saved_model) as model:
        by_example = model.call("serving_default", {"examples": [serialize(row)]})
        by_name = model.call(
            "predict", {"point": [row["point"]], "color": [["red"]], "weight": [[0.0]], "tags": [["a", "b"]]}
        )
    assert list(by_example) == ["scores"]
    assert by_name["scores"] == pytest.approx(by_example["scores"])


def test_a_sequential_model_without_an_input_takes_the_only_feature(request_for: Make, tmp_path: Any) -> None:
    from penstock.components.trainer.request import SplitFiles
    from penstock.components.trainer.train import train

    rows = [{"point": row["point"], "label": row["label"]} for row in separable_rows(32, seed=3)]
    file = (write_shard(tmp_path / "two.gz", rows),)
    schema = tmp_path / "two.pbtxt"
    schema.write_text("\n".join(line for line in SCHEMA.splitlines() if '"point"' in line or '"label"' in line))
    request = request_for(
        """
        import keras
        def build(context):
            model = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
            model.compile("adam", "sparse_categorical_crossentropy")
            return model
        """,
        files=SplitFiles(file, file, file),
        schema=schema,
    )
    train(request)
    assert [check["rows"] for check in written(request)["signatures"]] == [32, 32]


def test_neither_schema_nor_transform_graph(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    with pytest.raises(ConfigError, match="does not know the features"):
        train(request_for(schema=None))


def test_a_label_that_is_not_there(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    with pytest.raises(ArtifactError, match="the examples have no label 'lable'") as caught:
        train(request_for(with_={"label": "lable"}))
    assert caught.value.hint == "did you mean 'label'?"
    assert "point float32[2]" in str(caught.value.expected)


def test_a_schema_of_no_rows(request_for: Make, tmp_path: Any) -> None:
    from penstock.components.trainer.train import train

    schema = tmp_path / "empty.pbtxt"
    schema.touch()
    with pytest.raises(ArtifactError, match="the schema has no feature: the split that its statistics") as caught:
        train(request_for(schema=schema))
    assert caught.value.expected == "rows in every split"


def test_a_label_of_text(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    with pytest.raises(ArtifactError, match="label 'color' is text, and a loss needs a number"):
        train(request_for(with_={"label": "color"}))


def test_rows_that_do_not_match_the_schema(request_for: Make, toy: ToyData, tmp_path: Any) -> None:
    from penstock.components.trainer.request import SplitFiles
    from penstock.components.trainer.train import train

    file = (write_shard(tmp_path / "other.gz", [{"point": [1.0, 2.0], "label": [1]}]),)
    with pytest.raises(ArtifactError, match=r"a row does not match the schema: .*color.* is required"):
        train(request_for(files=SplitFiles(file, toy.evaluation, toy.evaluation)))


def test_a_loss_that_is_no_number_exports_nothing(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    request = request_for(
        """
        import keras
        def build(context):
            inputs = {"point": context.inputs()["point"]}
            model = keras.Model(inputs, keras.layers.Dense(1)(inputs["point"]) * float("inf"))
            model.compile("sgd", "mse")
            return model
        """
    )
    told = r"the loss is NaN or infinite after step 1 \(epoch 1, batch 1 of 16\); nothing is exported\n"
    with pytest.raises(ArtifactError, match=told):
        train(request)
    assert not request.saved_model.parent.exists()


def test_a_label_outside_the_classes(request_for: Make, toy: ToyData, tmp_path: Any) -> None:
    from penstock.components.trainer.request import SplitFiles
    from penstock.components.trainer.train import train

    rows = [{**row, "label": [5]} for row in separable_rows(8, seed=4)]
    file = (write_shard(tmp_path / "five.gz", rows),)
    with pytest.raises(ArtifactError, match="label value of 5") as caught:
        train(request_for(files=SplitFiles(file, toy.evaluation, toy.evaluation)))
    assert caught.value.hint == "label 'label' holds a value that is no class of the model's output"


def test_a_loss_that_does_not_fit_the_label(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    request = request_for(
        """
        import keras
        def build(context):
            inputs = {"point": context.inputs()["point"]}
            model = keras.Model(inputs, keras.layers.Dense(3, name="scores")(inputs["point"]))
            model.compile("adam", "categorical_crossentropy")
            return model
        """
    )
    with pytest.raises(UserCodeError, match="cannot be trained on label 'label': ValueError") as caught:
        train(request)
    assert caught.value.received == "outputs scores (None, 3), loss categorical_crossentropy"


def test_a_custom_loss_that_raises_shows_the_users_line(request_for: Make) -> None:
    from penstock.components.trainer.train import train

    request = request_for(
        """
        import keras
        def bad_loss(label, output):
            raise KeyError("oops")
        def build(context):
            inputs = {"point": context.inputs()["point"]}
            model = keras.Model(inputs, keras.layers.Dense(1)(inputs["point"]))
            model.compile("adam", bad_loss)
            return model
        """
    )
    with pytest.raises(UserCodeError, match="oops") as caught:
        train(request)
    assert [frame.source for frame in caught.value.frames] == ['raise KeyError("oops")']
