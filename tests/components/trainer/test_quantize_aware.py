"""Quantization-aware training: what becomes of a model, what is refused, and what a training so leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.request import TrainRequest
from penstock.errors import UserCodeError
from tests.components.trainer.data import ToyData
from tests.components.trainer.killing import Attempt, course, differences, history, toy_request, weights

PATH = "digits.model.build"
SUPPORTED = (
    "some of Activation, ActivityRegularization, Add, AveragePooling1D, AveragePooling2D, BatchNormalization, "
    "Concatenate, Conv2D, Conv2DTranspose, Cropping1D, Cropping2D, Cropping3D, Dense, DepthwiseConv2D, Dropout, "
    "Flatten, GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D, GlobalMaxPooling1D, "
    "GlobalMaxPooling2D, GlobalMaxPooling3D, LeakyReLU, MaxPooling2D, Permute, ReLU, Reshape, SeparableConv2D, "
    "Softmax, SpatialDropout1D, SpatialDropout2D, SpatialDropout3D, UpSampling2D, ZeroPadding1D, ZeroPadding2D, "
    "with activation gelu, linear, relu, sigmoid, softmax, swish, tanh"
)
HINT = "build the model of layers that it supports, or leave quantize_aware out and convert with mode int8"


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    """tf_keras; the library that wraps its layers switches all processes to it that are started later."""
    from penstock.components.trainer.keras_2 import TfKeras

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_USE_LEGACY_KERAS", "1")
        import tf_keras

        yield TfKeras(tf_keras)


def quantized(model: Any, keras: Any) -> Any:
    import tensorflow as tf

    from penstock.components.trainer.quantize_aware import quantized

    return quantized(model, PATH, tf.distribute.get_strategy(), keras)


def model_of(keras: Any, *layers: Any, shape: tuple[int, ...] = (8, 8, 1), dtype: str | None = None) -> Any:
    module = keras.module
    image = outputs = module.Input(shape, name="image", dtype=dtype)
    for layer in layers:
        outputs = layer(outputs)
    model = module.Model({"image": image}, outputs)
    model.compile("sgd", "mse")
    return model


class TestTheTwin:
    def test_keeps_names_weights_and_what_was_compiled(self, keras: Any) -> None:
        module = keras.module
        layers = module.layers
        image = module.Input((8, 8, 1), name="image")
        hidden = layers.Flatten(name="flat")(layers.Conv2D(2, 3, activation="relu", name="conv")(image))
        outputs = {"scores": layers.Dense(3, name="scores")(hidden), "size": layers.Dense(1, name="size")(hidden)}
        model = module.Model({"image": image}, outputs)

        def distance(label: Any, output: Any) -> Any:
            return (label - output) ** 2

        optimizer, loss = module.optimizers.Adam(0.5), {"scores": distance, "size": "mae"}
        metrics = {"size": [module.metrics.MeanAbsoluteError(name="off")]}
        model.compile(optimizer, loss, metrics=metrics, loss_weights={"scores": 2.0, "size": 1.0})
        twin = quantized(model, keras)

        assert [layer.name for layer in twin.layers][2:] == ["conv", "flat", "scores", "size"]
        assert type(twin.layers[1]).__name__ == "QuantizeLayer"
        assert {type(layer).__name__ for layer in twin.layers[2:]} == {"QuantizeWrapperV2"}
        assert (twin.output_names, twin.input_names) == (model.output_names, ["image"])
        assert sorted(twin.output) == ["scores", "size"]
        for name in ("conv", "scores", "size"):
            assert (twin.get_layer(name).layer.bias.numpy() == model.get_layer(name).bias.numpy()).all()
        assert twin.optimizer is optimizer
        given = {name: value for name, value in twin._compile_config.config.items() if value is not None}
        assert given == {
            "optimizer": optimizer,
            "loss": loss,
            "metrics": metrics,
            "loss_weights": {"scores": 2.0, "size": 1.0},
        }

    def test_rounds_weights_to_255_values(self, keras: Any) -> None:
        import numpy as np

        dense = keras.module.layers.Dense(300, use_bias=False, name="dense")
        twin = quantized(model_of(keras, dense, shape=(1,)), keras)
        twin.compile("sgd", "mse")
        twin.fit({"image": np.ones([1, 1])}, np.ones([1, 300]), verbose=0)  # The first step measures the weights.
        answer = twin.predict({"image": np.ones([1, 1])}, verbose=0)
        assert np.unique(np.asarray(dense.kernel)).size == 300
        assert np.unique(answer).size < 256

    def test_a_normalization_is_folded_into_the_layer_before_it(self, keras: Any) -> None:
        layers = keras.module.layers
        twin = quantized(model_of(keras, layers.Conv2D(2, 3), layers.BatchNormalization(), layers.ReLU()), keras)
        kinds = [type(layer.layer).__name__ for layer in twin.layers[2:]]
        assert kinds == ["Conv2D", "BatchNormalization", "ReLU"]

    def test_of_a_sequential_model(self, keras: Any) -> None:
        module = keras.module
        model = module.Sequential([module.Input((2,), name="point"), module.layers.Dense(1, name="size")])
        model.compile("sgd", "mse")
        twin = quantized(model, keras)
        assert (twin.input_names, twin.output_names) == (["point"], ["size"])


class TestRefused:
    def failure(self, model: Any, keras: Any) -> UserCodeError:
        with pytest.raises(UserCodeError) as caught:
            quantized(model, keras)
        return caught.value

    def test_every_layer_that_is_not_supported_is_named(self, keras: Any) -> None:
        module, layers = keras.module, keras.module.layers

        class Own(layers.Dense):  # type: ignore[name-defined,misc]
            pass

        model = model_of(
            keras,
            layers.LSTM(4, name="memory"),
            layers.Dense(4, activation="elu", name="bent"),
            layers.Lambda(lambda value: value * 2, name="twice"),
            module.Sequential([layers.Dense(4)], name="inside"),
            Own(4, name="own"),
            lambda value: value + 1,
            layers.Activation(lambda value: value, name="function"),
            layers.Dense(2, activation="softmax"),
            shape=(5, 3),
        )
        error = self.failure(model, keras)
        assert str(error) == (
            "model_fn 'digits.model.build': quantize_aware does not support 7 of the model's layers\n"
            "  received: layer 'memory' (LSTM); layer 'bent' (Dense) with activation elu; layer 'twice' (Lambda); "
            "layer 'inside' (Sequential); layer 'own' (Own); layer 'tf.__operators__.add' (TFOpLambda); "
            "layer 'function' (Activation) with activation <lambda>\n"
            f"  expected: {SUPPORTED}\n"
            f"  next: {HINT}"
        )

    def test_an_integer_input(self, keras: Any) -> None:
        error = self.failure(model_of(keras, keras.module.layers.Flatten(), dtype="int64"), keras)
        assert error.received == "input 'image' (int64)"

    def test_a_normalization_that_no_layer_takes_in(self, keras: Any) -> None:
        layers = keras.module.layers
        error = self.failure(model_of(keras, layers.BatchNormalization(name="norm"), layers.Flatten()), keras)
        assert str(error) == (
            "model_fn 'digits.model.build': quantize_aware does not support the model\n"
            "  received: layer 'norm' (BatchNormalization) where it stands\n"
            "  expected: layers that tensorflow-model-optimization quantizes, in an order in which it does\n"
            f"  next: {HINT}"
        )

    @pytest.mark.parametrize("functional", [True, False])
    def test_a_model_with_code_of_its_own(self, keras: Any, functional: bool) -> None:  # noqa: FBT001
        module = keras.module

        class Net(module.Model):  # type: ignore[name-defined,misc]
            def call(self, inputs: Any, *arguments: Any, **options: Any) -> Any:
                return super().call(inputs, *arguments, **options) if functional else inputs

        image = module.Input((2,))
        model = Net(image, module.layers.Dense(1)(image), name="net") if functional else Net(name="net")
        model.compile("sgd", "mse")
        error = self.failure(model, keras)
        assert str(error) == (
            "model_fn 'digits.model.build': quantize_aware rebuilds a model from its layers, which leaves out code of "
            "its own\n"
            f"  received: {__name__}.{Net.__qualname__} 'net'\n"
            "  expected: a functional tf_keras.Model, or a Sequential one\n"
            "  next: return keras.Model(inputs, outputs), or leave quantize_aware out"
        )

    def test_a_model_that_does_not_know_its_input(self, keras: Any) -> None:
        model = keras.module.Sequential([keras.module.layers.Dense(2)])
        model.compile("sgd", "mse")
        assert str(self.failure(model, keras)) == (
            "model_fn 'digits.model.build': quantize_aware needs to know the shape of the model's input\n"
            "  received: a Sequential model without an Input\n"
            "  expected: a model whose layers are built\n"
            "  next: begin it with keras.Input(shape, name=...)"
        )


def build(context: Any) -> Any:
    """A model with random numbers and an optimizer's slots."""
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    hidden = keras.layers.Dense(context.hparams.get("units", 8), activation="tanh")(inputs["point"])
    scores = keras.layers.Dense(2, activation="softmax", name="scores")(keras.layers.Dropout(0.3)(hidden))
    model = keras.Model(inputs, scores)
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, toy: ToyData) -> dict[str, TrainRequest]:
    """Trainings of :func:`build` by name, in one process."""
    folder = tmp_path_factory.mktemp("trained")
    base = {"model_fn": f"{__name__}.build", "keras": "tf_keras"}
    aware = {**base, "quantize_aware": True, "runtime": {"deterministic": True, "logical_devices": {"cpu": 2}}}

    def request(name: str, with_: dict[str, Any], warm_start: str | None = None) -> TrainRequest:
        made = toy_request(folder / name, toy, with_)
        if warm_start is None:
            return made
        return replace(made, base_model=folder / warm_start / "model" / "Format-Keras" / "model.keras")

    two = {"epochs": 2, "batch_size": 8, "input": {"shuffle_buffer": 60, "autoshard": "data"}}
    made = {
        "float": request("float", {**base, "runtime": aware["runtime"]}),
        "straight": request("straight", aware),
        "broken": request("broken", {**aware, "hparams": {"fail_at": 40}}),
        "from_aware": request("from_aware", {**aware, "epochs": 1}, "straight"),
        "mirrored": request("mirrored", {**aware, **two, "strategy": "mirrored"}, "float"),
        "central_storage": request("central_storage", {**aware, **two, "strategy": "central_storage"}, "float"),
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_USE_LEGACY_KERAS", "1")
        attempt = Attempt(*made.values(), made["broken"])
        assert attempt.wait() == 1, attempt.output
    return made


class TestTrained:
    def test_goes_on_from_a_checkpoint_byte_by_byte(self, trained: dict[str, TrainRequest]) -> None:
        straight, broken = trained["straight"], trained["broken"]
        assert differences(straight, broken) == {}
        assert history(straight) == history(broken)
        assert course(broken)["resumed_from_step"] == 35

    def test_begins_with_a_float_model_or_one_of_its_own(self, trained: dict[str, TrainRequest]) -> None:
        new, *warm = (history(trained[name])["loss"][0] for name in ("straight", "mirrored", "from_aware"))
        assert max(warm) < new / 2

    @pytest.mark.parametrize("strategy", ["mirrored", "central_storage"])
    def test_two_replicas_agree_on_ranges(self, trained: dict[str, TrainRequest], strategy: str) -> None:
        """Each measures its half of the rows; what is exported is the mean."""
        alone, together = weights(trained["straight"]), weights(trained[strategy])
        assert alone.keys() == together.keys()
        ranges = [name for name, array in together.items() if "quantize_layer/vars" in name and array.dtype != "int32"]
        assert len(ranges) == 2
        for name in ranges:
            assert together[name] == pytest.approx(alone[name], rel=0.02)
        assert history(trained[strategy])["val_accuracy"][-1] > 0.9

    def test_is_recorded(self, trained: dict[str, TrainRequest]) -> None:
        reports = [_report(trained[name]) for name in ("float", "straight")]
        assert [report["quantize_aware"] for report in reports] == [False, True]
        assert ["tensorflow-model-optimization" in report["versions"] for report in reports] == [False, True]

    def test_the_export_passed_the_gate(self, trained: dict[str, TrainRequest]) -> None:
        checks = _report(trained["mirrored"])["signatures"]
        assert [(check["signature"], check["rows"]) for check in checks] == [("predict", 64), ("serving_default", 64)]

    def test_becomes_a_flatbuffer_of_integers(self, trained: dict[str, TrainRequest]) -> None:
        assert {detail["dtype"].__name__ for detail in _tensors_of_int8(trained["straight"])} == {"int8", "int32"}


def _report(request: TrainRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((request.run_folder / "training_report.json").read_text(encoding="utf-8"))
    return found


def _tensors_of_int8(request: TrainRequest) -> list[dict[str, Any]]:
    """Convert the export by the ranges that it brings, without calibration, and return the flatbuffer's tensors."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    converter = tf.lite.TFLiteConverter.from_saved_model(str(request.saved_model), signature_keys=["predict"])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    found: list[dict[str, Any]] = Interpreter(model_content=converter.convert()).get_tensor_details()
    return found


@pytest.mark.e2e
@pytest.mark.parametrize(
    "strategy",
    [
        {"name": "multi_worker_mirrored", "workers": 2, "communication": "ring"},
        {"name": "parameter_server", "workers": 2},
    ],
)
def test_several_processes(tmp_path: Path, toy: ToyData, strategy: dict[str, Any]) -> None:
    from penstock.components.trainer.train import train

    with_ = {"model_fn": f"{__name__}.build", "keras": "tf_keras", "quantize_aware": True, "strategy": strategy}
    request = toy_request(tmp_path / "training", toy, {**with_, "batch_size": 8})
    train(request)
    assert history(request)["val_accuracy"][-1] > 0.9
    assert {detail["dtype"].__name__ for detail in _tensors_of_int8(request)} == {"int8", "int32"}
