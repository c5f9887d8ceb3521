"""Export and predict gate, with the model built by hand: no training is needed to serve."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.trainer.config import GateOptions
from penstock.errors import ArtifactError
from tests.components.trainer.data import ToyData, separable_rows, serialize


def serving_model(toy: ToyData, outputs: Callable[[Any, Any], Any]) -> Any:
    """Return a ServingModel whose outputs are made of (keras, the input ``point``)."""
    import keras

    from penstock.components.trainer.export import ServingModel
    from penstock.components.trainer.model import ModelInputs
    from penstock.components.trainer.preprocessing import load_preprocessing, serving_spec

    keras.utils.set_random_seed(0)
    preprocessing = load_preprocessing(None, toy.schema)
    point = keras.Input((2,), name="point")
    model = keras.Model({"point": point}, outputs(keras, point))
    return ServingModel(model, ModelInputs(("point",)), preprocessing, serving_spec(preprocessing, ["point"], "label"))


def examples() -> list[bytes]:
    return [serialize(row) for row in separable_rows(5, seed=9)]


def dense(keras: Any, point: Any) -> Any:
    return keras.layers.Dense(3, name="scores")(point)


@pytest.mark.parametrize(
    ("outputs", "names"),
    [
        (dense, ["outputs"]),
        (lambda keras, point: [dense(keras, point), keras.layers.Dense(1, name="value")(point)], ["scores", "value"]),
        (lambda keras, point: {"probabilities": dense(keras, point)}, ["probabilities"]),
    ],
)
def test_outputs_are_named(toy: ToyData, tmp_path: Path, outputs: Any, names: list[str]) -> None:
    from penstock.components.trainer.export import export_saved_model
    from penstock.serving.saved_model import read_signatures

    export_saved_model(serving_model(toy, outputs), tmp_path / "model")
    signatures = {signature.name: signature for signature in read_signatures(tmp_path / "model")}
    assert sorted(signatures) == ["predict", "serving_default"]
    for signature in signatures.values():
        assert [tensor.name for tensor in signature.outputs] == names
    (asked,) = signatures["serving_default"].inputs
    assert (asked.name, asked.dtype, asked.shape) == ("examples", "string", (None,))
    (column,) = signatures["predict"].inputs
    assert (column.name, column.dtype, column.shape) == ("point", "float32", (None, 2))


def test_the_gate_passes_a_faithful_export(toy: ToyData, tmp_path: Path) -> None:
    from penstock.components.trainer.export import export_saved_model
    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    export_saved_model(serving, tmp_path / "model")
    checks = check_saved_model(tmp_path / "model", serving, examples(), GateOptions())
    assert [(check.signature, check.rows, check.not_checked) for check in checks] == [
        ("predict", 5, None),
        ("serving_default", 5, None),
    ]
    assert max(check.largest_difference for check in checks) < 1e-5


def test_the_gate_catches_the_export_of_tfx_examples(toy: ToyData, tmp_path: Path) -> None:
    """``tf.saved_model.save`` of a Keras 3 model: it loads, and then cannot find its variables."""
    import tensorflow as tf

    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    model, spec = serving.model, serving.raw_spec

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve_tf_examples_fn(serialized):
        return {"outputs": model(tf.io.parse_example(serialized, spec))}

    tf.saved_model.save(model, str(tmp_path / "model"), signatures={"serving_default": serve_tf_examples_fn})
    forgiving = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    assert forgiving(tf.constant(examples()))["outputs"].shape == (5, 3)
    with pytest.raises(
        ArtifactError, match=r"signature 'serving_default' cannot answer: Could not find variable scores/\w+"
    ) as caught:
        check_saved_model(tmp_path / "model", serving, examples(), GateOptions())
    assert caught.value.where == str(tmp_path / "model")


def test_the_gate_says_which_row_and_by_how_much(toy: ToyData, tmp_path: Path) -> None:
    from penstock.components.trainer.export import export_saved_model
    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    export_saved_model(serving, tmp_path / "model")
    kernel = serving.model.get_layer("scores").kernel
    kernel.assign(kernel + np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]], np.float32))
    with pytest.raises(ArtifactError, match=r"signature 'predict', output 'outputs', row (\d)") as caught:
        check_saved_model(tmp_path / "model", serving, examples(), GateOptions())
    worst = max(range(5), key=lambda row: abs(separable_rows(5, seed=9)[row]["point"][1]))
    assert caught.value.what.endswith(f"row {worst}")
    assert "at position [1], off by 0.4" in str(caught.value.received)
    assert str(caught.value.expected).endswith("within 1e-05")
    assert check_saved_model(tmp_path / "model", serving, examples(), GateOptions(tolerance=1.0))


def save_signatures(serving: Any, path: Path, **functions: Any) -> None:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(serving.model)
    spec = [tf.TensorSpec([None], tf.string, name="examples")]
    archive.add_endpoint("serving_default", functions.pop("serving_default", serving.from_examples), spec)
    for name, (function, signature) in functions.items():
        archive.add_endpoint(name, function, signature)
    archive.write_out(str(path), verbose=False)


def test_signatures_that_cannot_be_checked_are_reported(
    toy: ToyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    save_signatures(
        serving,
        tmp_path / "model",
        pixels=(lambda pixels: {"outputs": pixels}, [tf.TensorSpec([None, 4], tf.float32, name="pixels")]),
        lengths=(
            lambda texts: {"length": tf.strings.length(texts)},
            [tf.TensorSpec([None], tf.string, name="texts")],
        ),
        more=(
            lambda texts: {**serving.from_examples(texts), "extra": tf.strings.length(texts)},
            [tf.TensorSpec([None], tf.string, name="texts")],
        ),
    )
    checks = check_saved_model(tmp_path / "model", serving, examples(), GateOptions())
    assert {check.signature: (check.rows, check.not_checked) for check in checks} == {
        "lengths": (0, "outputs length are not the model's"),
        "more": (5, "outputs extra are not the model's"),
        "pixels": (0, "inputs pixels are neither examples nor raw features"),
        "serving_default": (5, None),
    }
    assert "signature 'pixels' not fully checked: inputs pixels are neither" in caplog.text


def test_serving_default_must_be_checked(toy: ToyData, tmp_path: Path) -> None:
    import tensorflow as tf

    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    save_signatures(serving, tmp_path / "model", serving_default=lambda texts: {"length": tf.strings.length(texts)})
    with pytest.raises(ArtifactError, match="no signature 'serving_default' that could be checked"):
        check_saved_model(tmp_path / "model", serving, examples(), GateOptions())


def test_another_shape_is_a_mismatch(toy: ToyData, tmp_path: Path) -> None:
    from penstock.components.trainer.predict_gate import check_saved_model

    serving = serving_model(toy, dense)
    save_signatures(
        serving,
        tmp_path / "model",
        serving_default=lambda texts: {"outputs": serving.from_examples(texts)["outputs"][:, :2]},
    )
    with pytest.raises(ArtifactError, match="answers in another shape") as caught:
        check_saved_model(tmp_path / "model", serving, examples(), GateOptions())
    assert (caught.value.received, caught.value.expected) == ("shape (5, 2)", "shape (5, 3)")


@pytest.mark.parametrize(
    ("got", "want", "expected"),
    [
        ([1.0, 2.0], [1.0, 2.5], [0.0, 0.2]),
        ([0.1], [0.2], [0.1]),
        ([np.nan, 1.0, np.inf], [np.nan, np.nan, np.inf], [0.0, np.inf, 0.0]),
        ([b"a", b"b"], [b"a", b"c"], [0.0, np.inf]),
        ([True, False], [True, True], [0.0, np.inf]),
        ([3, 4], [3, 5], [0.0, 0.2]),
    ],
)
def test_differences(got: list[Any], want: list[Any], expected: list[float]) -> None:
    from penstock.components.trainer.predict_gate import _differences

    assert _differences(np.array(got), np.array(want)).tolist() == pytest.approx(expected)
