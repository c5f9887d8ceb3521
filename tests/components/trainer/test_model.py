from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import UserCodeError

Make = Callable[..., Any]


def failure(request: Any) -> UserCodeError:
    from penstock.components.trainer.train import train

    with pytest.raises(UserCodeError) as caught:
        train(request)
    return caught.value


def test_no_such_function(request_for: Make) -> None:
    error = failure(request_for("def biuld(context): ...\n"))
    assert error.what.endswith("has no attribute 'build'")
    assert error.hint == "did you mean 'biuld'?"


def test_not_callable(request_for: Make) -> None:
    error = failure(request_for("build = {'units': 3}\n"))
    assert error.what.endswith(".build' is not callable")
    assert error.received == "dict {'units': 3}"


def test_raises_with_the_users_frames_only(request_for: Make) -> None:
    error = failure(
        request_for(
            """
            import keras
            def units(context):
                return context.hparams.unitz
            def build(context):
                return keras.layers.Dense(units(context))
            """,
            with_={"hparams": {"units": 3}},
        )
    )
    assert "raised UnknownHParamError: no hyperparameter 'unitz' under hparams; known: units" in error.what
    assert "did you mean 'units'?" in error.what
    assert [frame.function for frame in error.frames] == ["build", "units"]
    assert error.frames[-1].source == "return context.hparams.unitz"


def test_raises_inside_keras(request_for: Make) -> None:
    error = failure(request_for("import keras\ndef build(context):\n    return keras.layers.Dense(-1)\n"))
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
            "build it with context.keras; tf_keras models cannot be trained here",
        ),
    ],
)
def test_returns_no_model(request_for: Make, body: str, received: str, hint: str) -> None:
    error = failure(request_for(f"def build(context):\n    {body}\n"))
    assert error.what.endswith("returned no Keras model")
    assert (error.received, error.hint) == (received, hint)


def test_returns_a_model_that_is_not_compiled(request_for: Make) -> None:
    error = failure(
        request_for(
            "import keras\ndef build(context):\n"
            "    i = context.inputs()['point']\n    return keras.Model(i, keras.layers.Dense(1)(i))\n"
        )
    )
    assert error.what.endswith("returned a model that is not compiled")
    assert "model.compile(" in str(error.hint)


def test_an_input_that_is_no_feature(request_for: Make) -> None:
    error = failure(
        request_for(
            """
            import keras
            def build(context):
                model = keras.Sequential([keras.Input((2,), name="pont"), keras.layers.Dense(2)])
                model.compile("adam", "mse")
                return model
            """
        )
    )
    assert "the model's input 'pont' is no feature" in error.what
    assert "point float32[2]" in str(error.expected)
    assert error.hint == "did you mean 'point'?"


def test_a_feature_that_is_not_there_in_serving_is_no_input(request_for: Make) -> None:
    error = failure(
        request_for(
            """
            import keras
            def build(context):
                model = keras.Sequential([keras.Input((1,), name="reviewed"), keras.layers.Dense(2)])
                model.compile("adam", "mse")
                return model
            """
        )
    )
    assert "the model's input 'reviewed' is no feature" in error.what


def test_a_sequential_model_that_does_not_say_its_input(request_for: Make) -> None:
    error = failure(
        request_for(
            """
            import keras
            def build(context):
                model = keras.Sequential([keras.layers.Dense(2)])
                model.compile("adam", "mse")
                return model
            """
        )
    )
    assert "does not say which feature it takes" in error.what
