from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import UserCodeError
from tests.components.trainer.data import ToyData, keras_3, toy_context

Build = Callable[..., Any]


@pytest.fixture
def build(user_module: Callable[[str], str], toy: ToyData) -> Build:
    """Call the ``build`` of a module of this source on the toy data, and match inputs with features."""

    def make(source: str, **context_fields: Any) -> Any:
        import keras
        import tensorflow as tf

        from penstock.components.trainer.model import build_model, model_inputs
        from penstock.components.trainer.preprocessing import load_preprocessing

        context = toy_context(load_preprocessing(None, toy.schema), keras, **context_fields)
        path = f"{user_module(source)}.build"
        model = build_model(path, context, tf.distribute.get_strategy(), keras_3())
        return model_inputs(model, context.feature_spec, path)

    return make


def failure(build: Build, source: str, **context_fields: Any) -> UserCodeError:
    with pytest.raises(UserCodeError) as caught:
        build(source, **context_fields)
    return caught.value


def test_no_such_function(build: Build) -> None:
    error = failure(build, "def biuld(context): ...\n")
    assert error.what.endswith("has no attribute 'build'")
    assert error.hint == "did you mean 'biuld'?"


def test_not_callable(build: Build) -> None:
    error = failure(build, "build = {'units': 3}\n")
    assert error.what.endswith(".build' is not callable")
    assert error.received == "dict {'units': 3}"


def test_raises_with_the_users_frames_only(build: Build) -> None:
    from penstock.components.trainer.context import HParams

    error = failure(
        build,
        """
        import keras
        def units(context):
            return context.hparams.unitz
        def build(context):
            return keras.layers.Dense(units(context))
        """,
        hparams=HParams({"units": 3}),
    )
    assert "raised UnknownHParamError: no hyperparameter 'unitz' under hparams; known: units" in error.what
    assert "did you mean 'units'?" in error.what
    assert [frame.function for frame in error.frames] == ["build", "units"]
    assert error.frames[-1].source == "return context.hparams.unitz"


def test_raises_inside_keras(build: Build) -> None:
    error = failure(build, "import keras\ndef build(context):\n    return keras.layers.Dense(-1)\n")
    assert "raised ValueError" in error.what
    assert [(frame.line, frame.source) for frame in error.frames] == [(3, "return keras.layers.Dense(-1)")]


@pytest.mark.parametrize(
    ("body", "received", "hint"),
    [
        ("return None", "None", "end the function with: return model"),
        ("return 'model'", "builtins.str", "return the model itself"),
        (
            "import tf_keras; return tf_keras.Sequential()",
            "tf_keras.src.engine.sequential.Sequential",
            "build it with context.keras, or set keras: tf_keras",
        ),
    ],
)
def test_returns_no_model(build: Build, body: str, received: str, hint: str) -> None:
    error = failure(build, f"def build(context):\n    {body}\n")
    assert error.what.endswith("returned no Keras 3 model")
    assert (error.received, error.expected, error.hint) == (received, "a compiled keras.Model", hint)


def test_returns_a_model_that_is_not_compiled(build: Build) -> None:
    error = failure(
        build,
        "import keras\ndef build(context):\n"
        "    i = context.inputs()['point']\n    return keras.Model(i, keras.layers.Dense(1)(i))\n",
    )
    assert error.what.endswith("returned a model that is not compiled")
    assert "model.compile(" in str(error.hint)


SEQUENTIAL = """
import keras
def build(context):
    model = keras.Sequential([INPUT keras.layers.Dense(2)])
    model.compile("adam", "mse")
    return model
"""


def test_inputs_are_features(build: Build) -> None:
    inputs = build(SEQUENTIAL.replace("INPUT", 'keras.Input((2,), name="point"),'))
    assert (inputs.names, inputs.single) == (("point",), False)


def test_an_input_that_is_no_feature(build: Build) -> None:
    error = failure(build, SEQUENTIAL.replace("INPUT", 'keras.Input((2,), name="pont"),'))
    assert "the model's input 'pont' is no feature" in error.what
    assert "point float32[2]" in str(error.expected)
    assert error.hint == "did you mean 'point'?"


def test_a_feature_that_is_not_there_in_serving_is_no_input(build: Build) -> None:
    error = failure(build, SEQUENTIAL.replace("INPUT", 'keras.Input((1,), name="reviewed"),'))
    assert "the model's input 'reviewed' is no feature" in error.what


def test_a_sequential_model_that_does_not_say_its_input(build: Build) -> None:
    error = failure(build, SEQUENTIAL.replace("INPUT", ""))
    assert "does not say which feature it takes" in error.what
    assert error.expected == "an Input named after one of the features color, point, tags, weight"


def test_a_sequential_model_takes_the_only_feature(build: Build) -> None:
    import tensorflow as tf

    spec = {"point": tf.io.FixedLenFeature([2], tf.float32)}
    inputs = build(SEQUENTIAL.replace("INPUT", ""), feature_spec=spec)
    assert (inputs.names, inputs.single) == (("point",), True)
    assert inputs.select({"point": 3, "color": 4}) == 3


def test_a_model_of_ones_own_class_takes_all_features(build: Build) -> None:
    inputs = build(
        """
        import keras
        class Net(keras.Model):
            pass
        def build(context):
            model = Net()
            model.compile("adam", "mse")
            return model
        """
    )
    assert (inputs.names, inputs.single) == (("color", "point", "tags", "weight"), False)
