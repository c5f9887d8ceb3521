"""Export and predict gate, with the model built by hand: no training is needed to serve."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.trainer.options import GateOptions
from penstock.errors import ArtifactError, UserCodeError
from tests.components.trainer.data import ToyData, keras_3, separable_rows, serialize


def serving_model(toy: ToyData, outputs: Callable[[Any, Any], Any], *, further: Any = ()) -> Any:
    """Return a ServingModel whose outputs are made of (keras, the input ``point``)."""
    import keras

    from penstock.components.trainer.export import ServingModel
    from penstock.components.trainer.model import ModelInputs
    from penstock.components.trainer.preprocessing import load_preprocessing, serving_spec

    keras.utils.set_random_seed(0)
    preprocessing = load_preprocessing(None, toy.schema)
    point = keras.Input((2,), name="point")
    model = keras.Model({"point": point}, outputs(keras, point))
    raw_spec = serving_spec(preprocessing, ["point"], "label")
    return ServingModel(model, ModelInputs(("point",)), preprocessing, raw_spec, further)


def export(serving: Any, path: Path) -> None:
    from penstock.components.trainer.export import export_saved_model

    export_saved_model(serving, path, keras_3())


def check(path: Path, serving: Any, **options: float) -> Any:
    from penstock.components.trainer.predict_gate import check_saved_model

    return check_saved_model(path, serving, examples(), GateOptions(**options), keras_3())


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
    from penstock.serving.saved_model import read_signatures

    export(serving_model(toy, outputs), tmp_path / "model")
    signatures = {signature.name: signature for signature in read_signatures(tmp_path / "model")}
    assert sorted(signatures) == ["predict", "serving_default"]
    for signature in signatures.values():
        assert [tensor.name for tensor in signature.outputs] == names
    (asked,) = signatures["serving_default"].inputs
    assert (asked.name, asked.dtype, asked.shape) == ("examples", "string", (None,))
    (column,) = signatures["predict"].inputs
    assert (column.name, column.dtype, column.shape) == ("point", "float32", (None, 2))


def test_the_gate_passes_a_faithful_export(toy: ToyData, tmp_path: Path) -> None:

    serving = serving_model(toy, dense)
    export(serving, tmp_path / "model")
    checks = check(tmp_path / "model", serving)
    assert [(check.signature, check.rows, check.not_checked) for check in checks] == [
        ("predict", 5, None),
        ("serving_default", 5, None),
    ]
    assert max(check.largest_difference for check in checks) < 1e-5


def test_the_gate_catches_the_export_of_tfx_examples(toy: ToyData, tmp_path: Path) -> None:
    """``tf.saved_model.save`` of a Keras 3 model: it loads, and then cannot find its variables."""
    import tensorflow as tf

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
        check(tmp_path / "model", serving)
    assert caught.value.where == str(tmp_path / "model")


def test_the_gate_says_which_row_and_by_how_much(toy: ToyData, tmp_path: Path) -> None:

    serving = serving_model(toy, dense)
    export(serving, tmp_path / "model")
    kernel = serving.model.get_layer("scores").kernel
    kernel.assign(kernel + np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0]], np.float32))
    with pytest.raises(ArtifactError, match=r"signature 'predict', output 'outputs', row (\d)") as caught:
        check(tmp_path / "model", serving)
    worst = max(range(5), key=lambda row: abs(separable_rows(5, seed=9)[row]["point"][1]))
    assert caught.value.what.endswith(f"row {worst}")
    assert "at position [1], off by 0.4" in str(caught.value.received)
    assert str(caught.value.expected).endswith("within 1e-05")
    assert check(tmp_path / "model", serving, tolerance=1.0)


def save_signatures(serving: Any, path: Path, **others: Any) -> None:
    """Export a model with other functions than the serving model has: name to (function, specs)."""
    ours = {each.name: (each.function, each.arguments) for each in serving.signatures()}
    keras_3().export(path, [serving.model], [(name, *pair) for name, pair in {**ours, **others}.items() if pair])


def test_signatures_that_cannot_be_checked_are_reported(
    toy: ToyData, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import tensorflow as tf

    from penstock.components.trainer.signatures import Signature

    pixels = {"pixels": tf.TensorSpec([None, 4], tf.float32, name="pixels")}
    whole = {"point": tf.TensorSpec([None, 2], tf.float64, name="point")}
    further = (Signature("pixels", tf.identity, pixels), Signature("doubles", tf.identity, whole))
    serving = serving_model(toy, dense, further=further)
    save_signatures(serving, tmp_path / "model", unknown=(tf.strings.length, [tf.TensorSpec([None], tf.string)]))
    assert {each.signature: (each.rows, each.not_checked) for each in check(tmp_path / "model", serving)} == {
        "doubles": (0, "inputs point are neither examples nor raw features"),
        "pixels": (0, "inputs pixels are neither examples nor raw features"),
        "predict": (5, None),
        "serving_default": (5, None),
        "unknown": (0, "there is no such function in memory"),
    }
    assert "signature 'pixels' not checked: inputs pixels are neither" in caplog.text


def test_serving_default_must_be_checked(toy: ToyData, tmp_path: Path) -> None:
    import tensorflow as tf

    serving = serving_model(toy, dense)
    pixels = [tf.TensorSpec([None, 4], tf.float32, name="pixels")]
    save_signatures(serving, tmp_path / "model", serving_default=(tf.identity, pixels), predict=None)
    with pytest.raises(ArtifactError, match="no signature 'serving_default' that could be checked") as caught:
        check(tmp_path / "model", serving)
    assert caught.value.received == "serving_default"


def test_another_shape_is_a_mismatch(toy: ToyData, tmp_path: Path) -> None:
    serving = serving_model(toy, dense)
    replace_answer(serving, tmp_path / "model", lambda answer: {"outputs": answer["outputs"][:, :2]})
    with pytest.raises(ArtifactError, match="answers in another shape") as caught:
        check(tmp_path / "model", serving)
    assert (caught.value.received, caught.value.expected) == ("shape (5, 2)", "shape (5, 3)")


def test_other_outputs_are_a_mismatch(toy: ToyData, tmp_path: Path) -> None:
    serving = serving_model(toy, dense)
    replace_answer(serving, tmp_path / "model", lambda answer: {"scores": answer["outputs"]})
    with pytest.raises(ArtifactError, match="other outputs than the model in memory: signature 'serving_def") as caught:
        check(tmp_path / "model", serving)
    assert (caught.value.received, caught.value.expected) == ("scores", "outputs")


def replace_answer(serving: Any, path: Path, change: Callable[[Any], Any]) -> None:
    import tensorflow as tf

    def answer(serialized: Any) -> Any:
        return change(serving.from_examples(serialized))

    save_signatures(serving, path, serving_default=(answer, [tf.TensorSpec([None], tf.string, name="examples")]))


def test_what_a_signature_of_the_users_answers_is_compared(toy: ToyData, tmp_path: Path) -> None:
    import tensorflow as tf

    from penstock.components.trainer.signatures import Signature

    point = {"point": tf.TensorSpec([None, 2], tf.float32, name="point")}
    serialized = {"texts": tf.TensorSpec([None], tf.string, name="texts")}
    serving = serving_model(
        toy,
        dense,
        further=(
            Signature("twice", lambda point: 2 * point, point),
            Signature(
                "named", lambda inputs: {"sum": inputs["point"][:, 0] + inputs["point"][:, 1]}, point, by_name=True
            ),
            Signature("lengths", lambda texts: [tf.strings.length(texts), texts], serialized),
        ),
    )
    export(serving, tmp_path / "model")
    checks = check(tmp_path / "model", serving)
    assert [each.signature for each in checks] == ["lengths", "named", "predict", "serving_default", "twice"]
    assert {(each.rows, each.not_checked) for each in checks} == {(5, None)}
    calls = iter(range(9))
    moody = Signature("moody", lambda point: point + float(next(calls)), point)
    serving = serving_model(toy, dense, further=(moody,))
    export(serving, tmp_path / "moody")
    with pytest.raises(ArtifactError, match=r"signature 'moody', output 'output_0', row \d"):
        check(tmp_path / "moody", serving)


@pytest.mark.parametrize(("policy", "units"), [("mixed_bfloat16", 2.0**-7), ("mixed_float16", 2.0**-10)])
def test_the_tolerance_follows_the_type_that_layers_compute_with(
    toy: ToyData, tmp_path: Path, policy: str, units: float
) -> None:
    with keras_3().precision(policy):
        serving = serving_model(toy, dense)
    export(serving, tmp_path / "model")
    assert max(each.largest_difference for each in check(tmp_path / "model", serving)) <= 4 * units
    bias = serving.model.get_layer("scores").bias
    bias.assign(bias + np.array([0.0, 0.0, 2 * units], np.float32))
    check(tmp_path / "model", serving)
    bias.assign(bias + np.array([0.0, 0.0, 0.5], np.float32))
    with pytest.raises(ArtifactError, match="signature 'predict', output 'outputs', row") as caught:
        check(tmp_path / "model", serving)
    assert str(caught.value.expected).endswith(f" within {4 * units:.3g}")
    assert re.fullmatch(r"-?[\d.]{1,9} at position \[2\], off by 0\.\d{1,3}", str(caught.value.received))


def test_an_export_is_flushed_to_the_disk(toy: ToyData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    flushed: list[str] = []
    opened: dict[int, str] = {}
    open_file, fsync = os.open, os.fsync

    def watched_open(path: Any, *args: Any, **kwargs: Any) -> int:
        descriptor = open_file(path, *args, **kwargs)
        opened[descriptor] = str(path)
        return descriptor

    def watched_fsync(descriptor: int) -> None:
        flushed.append(str(Path(opened[descriptor]).relative_to(tmp_path)))
        fsync(descriptor)

    monkeypatch.setattr(os, "open", watched_open)
    monkeypatch.setattr(os, "fsync", watched_fsync)
    serving = serving_model(toy, dense)
    export(serving, tmp_path / "model")
    assert sorted(flushed) == sorted(
        [*(str(path.relative_to(tmp_path)) for path in (tmp_path / "model").rglob("*")), "model"]
    )
    assert flushed[-1] == "model"
    assert flushed.index("model/variables") > flushed.index("model/variables/variables.index")


def test_a_keras_file_is_whole_or_not_there(toy: ToyData, tmp_path: Path) -> None:
    import keras

    from penstock.components.trainer.export import save_keras_file

    model = serving_model(toy, dense).model
    save_keras_file(model, tmp_path / "folder" / "model.keras")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["model.keras"]
    loaded = keras.models.load_model(tmp_path / "folder" / "model.keras")
    assert loaded.get_layer("scores").kernel.numpy().tolist() == model.get_layer("scores").kernel.numpy().tolist()


def test_a_signature_that_tensorflow_cannot_trace(toy: ToyData, tmp_path: Path) -> None:
    import tensorflow as tf

    from penstock.components.trainer.signatures import Signature

    def broken(point: Any) -> Any:
        return point + tf.zeros([5, 3])

    spec = {"point": tf.TensorSpec([None, 2], tf.float32, name="point")}
    serving = serving_model(toy, dense, further=(Signature("broken", broken, spec),))
    started = "exporting the model with the signatures serving_default, predict, broken raised ValueError"
    with pytest.raises(UserCodeError, match=started) as caught:
        export(serving, tmp_path / "model")
    assert caught.value.frames[-1].source == "return point + tf.zeros([5, 3])"


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
