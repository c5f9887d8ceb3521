from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ArtifactError, UserCodeError
from tests.components.trainer.data import keras_3

POINT = [[1.0, -1.0]]


def model_of(*units: int, function: str = "relu", built: bool = True) -> Any:
    import keras
    import tensorflow as tf

    layers = [keras.layers.Dense(count, activation=function, name=f"dense_of_{count}") for count in units]
    model = keras.Sequential([keras.Input((2,), name="point"), keras.layers.BatchNormalization(), *layers], name="net")
    model.compile(keras.optimizers.Adam(), "mse", metrics=["mae"])
    if built:
        keras_3().build(model, (tf.TensorSpec([None, 2], tf.float32), tf.TensorSpec([None, units[-1]], tf.float32)))
    return model


def saved(folder: Path, model: Any) -> Path:
    model.save(folder / "model.keras")
    return folder / "model.keras"


def weights(model: Any) -> list[Any]:
    return [variable.numpy().tolist() for variable in model.weights]


def mismatch(model: Any, path: Path) -> ArtifactError:
    from penstock.components.trainer.warm_start import apply_warm_start

    before = weights(model)
    with pytest.raises(ArtifactError, match="warm_start") as caught:
        apply_warm_start(model, path)
    assert weights(model) == before
    assert caught.value.where == str(path)
    return caught.value


def test_takes_weights_but_neither_optimizer_nor_configuration(tmp_path: Path) -> None:
    import numpy as np

    from penstock.components.trainer.warm_start import apply_warm_start

    trained, fresh = model_of(3, 1), model_of(3, 1, function="tanh")
    trained.train_on_batch(np.array(POINT), np.array([[1.0]]))
    assert weights(fresh) != weights(trained)
    assert apply_warm_start(fresh, saved(tmp_path, trained)) == 8
    assert weights(fresh) == weights(trained)
    assert int(fresh.optimizer.iterations) == 0
    assert fresh.layers[1].activation.__name__ == "tanh"


def test_code_in_the_file_is_not_run(tmp_path: Path) -> None:
    """A Lambda of the file's configuration is Python bytecode; only arrays are read."""
    from penstock.components.trainer.warm_start import apply_warm_start

    path = saved(tmp_path, model_of(3))
    with zipfile.ZipFile(path) as archive:
        stored = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda", "config": "not even JSON that Keras reads"')
        archive.writestr("model.weights.h5", stored)
    assert apply_warm_start(model_of(3), path) == 6


def test_another_shape(tmp_path: Path) -> None:
    error = mismatch(model_of(3, 1), saved(tmp_path, model_of(3, 2)))
    assert str(error) == (
        f"{tmp_path / 'model.keras'}: warm_start: a checkpoint of another architecture; the first difference is "
        "variable 0 of layer 'dense_of_1' (layers/dense_1)\n"
        "  received: float32[3, 2]\n"
        "  expected: float32[3, 1]\n"
        "  next: begin with a model that the same model_fn made from the same hparams, or leave warm_start out"
    )


@pytest.mark.parametrize(
    ("here", "there", "received", "expected"),
    [((3, 1), (3,), "no such variable", "float32[3, 1]"), ((3,), (3, 1), "float32[3, 1]", "no such variable")],
)
def test_a_layer_more_or_less(
    tmp_path: Path, here: tuple[int, ...], there: tuple[int, ...], received: str, expected: str
) -> None:
    error = mismatch(model_of(*here), saved(tmp_path, model_of(*there)))
    assert error.what.endswith("the first difference is variable 0 of layer 'dense_of_1' (layers/dense_1)")
    assert (error.received, error.expected) == (received, expected)


@pytest.mark.parametrize("content", [None, b"not a zip file"])
def test_no_keras_file(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    error = mismatch(model_of(1), path)
    assert "the weights cannot be read: " in error.what
    assert error.expected == "a .keras file, as the Trainer writes it"


def _damage(weights: bytes) -> bytes:
    return b"\0" * 64 + weights[64:]


@pytest.mark.parametrize("change", [_damage, lambda weights: b""])
def test_damaged_weights(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = saved(tmp_path, model_of(1))
    with zipfile.ZipFile(path) as archive:
        stored = archive.read("model.weights.h5")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.weights.h5", change(stored))
    assert "the weights cannot be read: OSError" in mismatch(model_of(1), path).what


def test_a_link_to_another_file_is_not_followed(tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = [[1.0], [2.0]]
    path = saved(tmp_path, model_of(1))
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "w.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "w.h5", "r+") as file:
        del file["layers/dense/vars/0"]
        file["layers/dense/vars/0"] = h5py.ExternalLink(str(secret), "kernel")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(tmp_path / "w.h5", "model.weights.h5")
    error = mismatch(model_of(1), path)
    assert (error.received, error.expected) == ("no such variable", "float32[2, 1]")


def test_weights_go_from_a_twin_to_the_model(tmp_path: Path) -> None:
    from penstock.components.trainer.model_state import copy_weights

    source, target = model_of(3, 1), model_of(3, 1)
    copy_weights(source, target, keras_3(), "toy.build")
    assert weights(target) == weights(source)


def other_model(source: Any, target: Any) -> UserCodeError:
    from penstock.components.trainer.model_state import load_state, read_state

    before = weights(target)
    with pytest.raises(UserCodeError) as caught:
        load_state(target, read_state(source, keras_3()), keras_3(), "toy.build")
    assert weights(target) == before
    assert caught.value.what == "model_fn 'toy.build' made another model when it was called again for the same training"
    assert caught.value.hint == "for the same context it must always make the same layers in the same order"
    return caught.value


def test_a_model_fn_that_makes_another_model_the_second_time() -> None:
    error = other_model(model_of(3, 1), model_of(3, 2))
    assert (error.received, error.expected) == (
        "float32[3, 2] for 'net/dense_of_2/kernel'",
        "float32[3, 1], as 'net/dense_of_1/kernel' was before",
    )
    error = other_model(model_of(3, 1), model_of(3))
    assert (error.received, error.expected) == ("6 variables", "8 variables, as before")
    plain = model_of(3)
    plain.compile("sgd", "mse")
    plain.optimizer.build(plain.trainable_variables)
    error = other_model(model_of(3), plain)
    assert (error.received, error.expected) == ("2 optimizer variables", "10 optimizer variables, as before")
