"""Functions of the user's that fail or return what they must not: the one message there is, with the user's lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.components.trainer import request as ours
from penstock.components.trainer.request import TrainRequest
from penstock.errors import Frame
from penstock.user_code import describe_exception, user_frames
from tests.components.trainer.telling import Telling, telling

FAIL = '  model.py:0 in fail\n    raise LookupError("no such thing")'


@pytest.fixture
def told(request_for: Callable[..., TrainRequest], user_module: Callable[[str], str], tmp_path: Path) -> Telling:
    return telling(request_for, user_module, tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nothing",
            (
                "model_fn 'model.nothing' returned no Keras 3 model\n"
                "  received: None\n"
                "  expected: a compiled keras.Model\n"
                "  next: end the function with: return model"
            ),
        ),
        (
            "number",
            (
                "model_fn 'model.number' returned no Keras 3 model\n"
                "  received: builtins.int\n"
                "  expected: a compiled keras.Model\n"
                "  next: return the model itself"
            ),
        ),
        (
            "uncompiled",
            (
                "model_fn 'model.uncompiled' returned a model that is not compiled\n"
                "  received: keras.src.models.functional.Functional 'plain'\n"
                "  expected: a compiled model\n"
                "  next: call model.compile(optimizer=..., loss=..., metrics=[...]) before it is returned"
            ),
        ),
        (
            "of_the_other_keras",
            (
                "model_fn 'model.of_the_other_keras' returned no Keras 3 model\n"
                "  received: tf_keras.src.engine.sequential.Sequential\n"
                "  expected: a compiled keras.Model\n"
                "  next: build it with context.keras, or set keras: tf_keras"
            ),
        ),
        (
            "failing",
            "model_fn 'model.failing' raised LookupError: no such thing\n"
            "  your code:\n"
            "  model.py:0 in failing\n"
            "    return fail()\n" + FAIL,
        ),
        (
            "leaving",
            (
                "model_fn 'model.leaving' raised SystemExit: bye\n"
                "  your code:\n"
                "  model.py:0 in leaving\n"
                '    raise SystemExit("bye")'
            ),
        ),
        (
            "no_feature",
            (
                "model_fn 'model.no_feature': the model's input 'pint' is no feature\n"
                "  received: inputs pint\n"
                "  expected: some of the features color string[1], point float32[2], tags string[None], "
                "weight float32[1]\n"
                "  next: did you mean 'point'?"
            ),
        ),
        (
            "other_shape",
            (
                "the model of 'model.other_shape' cannot be trained on label 'label': ValueError: Input 0 with name "
                "'point' of layer 'net' is incompatible with the layer: expected shape=(None, 3), found "
                "shape=(None, 2)\n"
                "  received: outputs scores (None, 2), loss mse\n"
                "  expected: inputs, label, output, loss and metrics whose shapes and types fit each other"
            ),
        ),
        (
            "text_as_number",
            (
                "the model of 'model.text_as_number' cannot be trained on label 'label': ValueError: dtype='string' is "
                "not a valid dtype for Keras type promotion. (in Concatenate.call())\n"
                "  received: outputs scores (None, 2), loss mse\n"
                "  expected: inputs, label, output, loss and metrics whose shapes and types fit each other\n"
                "  next: 'color' is text: number it in a Transform step, or by a StringLookup layer"
            ),
        ),
        (
            "failing_layer",
            "the model of 'model.failing_layer' raised LookupError: no such thing (in Layer.call())\n"
            "  received: outputs scores (None, 2), loss sparse_categorical_crossentropy\n"
            "  your code:\n"
            "  model.py:0 in call\n"
            "    return fail() if training else points\n" + FAIL,
        ),
        (
            "failing_numpy",
            "training stopped: your code raised LookupError: no such thing\n  your code:\n" + FAIL,
        ),
        (
            "failing_step",
            "the model of 'model.failing_step' raised LookupError: no such thing\n"
            "  received: outputs scores (None, 2), loss mse\n"
            "  your code:\n"
            "  model.py:0 in train_step\n"
            "    fail()\n" + FAIL,
        ),
    ],
)
def test_a_model_fn(told: Telling, name: str, message: str) -> None:
    assert told(model_fn=f"model.{name}") == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "failing",
            "callbacks_fn 'model.failing' raised LookupError: no such thing\n"
            "  your code:\n"
            "  model.py:0 in failing\n"
            "    return fail()\n" + FAIL,
        ),
        (
            "word",
            (
                "callbacks_fn 'model.word' returned something other than callbacks\n"
                "  received: str\n"
                "  expected: a list of keras.callbacks.Callback\n"
                "  next: return a list, and make the callbacks with context.keras"
            ),
        ),
        (
            "callback_that_fails",
            "callbacks_fn 'model.callback_that_fails': on_epoch_end raised LookupError: no such thing\n"
            "  your code:\n"
            "  model.py:0 in on_epoch_end\n"
            "    fail(epoch, logs)\n" + FAIL,
        ),
    ],
)
def test_a_callbacks_fn(told: Telling, name: str, message: str) -> None:
    assert told(callbacks_fn=f"model.{name}") == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "list_of_rows",
            (
                "dataset_fn 'model.list_of_rows' returned no dataset\n"
                "  received: list\n"
                "  expected: a tf.data.Dataset of single (inputs, label) rows, one pass"
            ),
        ),
        (
            "unlabelled",
            (
                "dataset_fn 'model.unlabelled' gives rows without a label\n"
                "  received: {'point': TensorSpec(shape=(2,), dtype=tf.float32, name=None)}\n"
                "  expected: a tf.data.Dataset of single (inputs, label) rows, one pass"
            ),
        ),
        (
            "endless",
            (
                "dataset_fn 'model.endless' gives rows without end\n"
                "  received: a dataset of infinite cardinality\n"
                "  expected: a tf.data.Dataset of single (inputs, label) rows, one pass\n"
                "  next: leave out repeat(): the Trainer begins a new pass by itself"
            ),
        ),
        ("no_rows", "dataset_fn 'model.no_rows' gives no row of split 'train'\n  expected: at least one row"),
        ("failing_rows", "training stopped: your code raised LookupError: no such thing\n  your code:\n" + FAIL),
    ],
)
def test_a_dataset_fn(told: Telling, name: str, message: str) -> None:
    assert told(dataset_fn=f"model.{name}") == message


def test_a_dataset_fn_that_makes_batches(told: Telling) -> None:
    text = told(dataset_fn="model.batched")
    assert text.startswith(
        "the model of 'model.build' cannot be trained on label 'label': ValueError: Invalid input shape"
    )
    assert text.endswith(
        "  received: outputs scores (None, 2), loss sparse_categorical_crossentropy\n"
        "  expected: inputs, label, output, loss and metrics whose shapes and types fit each other\n"
        "  next: dataset_fn 'model.batched' must give single (inputs, label) rows, not batches of them"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "failing_signatures",
            "serving_fn 'model.failing_signatures' raised LookupError: no such thing\n"
            "  your code:\n"
            "  model.py:0 in failing_signatures\n"
            '    return {"again": fail(model)}\n' + FAIL,
        ),
        (
            "labelled",
            (
                "serving_fn 'model.labelled' returned no signatures\n"
                "  received: _TensorSliceDataset\n"
                "  expected: a mapping such as {'name': (function, [tf.TensorSpec([None], tf.string, "
                "name='examples')])}"
            ),
        ),
        (
            "signature_that_fails",
            "exporting the model with the signatures serving_default, predict, again raised LookupError: no such "
            "thing\n"
            "  your code:\n" + FAIL,
        ),
    ],
)
def test_a_serving_fn(told: Telling, name: str, message: str) -> None:
    assert told(serving_fn=f"model.{name}") == message


def test_what_tf_keras_and_tensorflow_wrap_around_an_exception_is_taken_off() -> None:
    """The text is that of tf_keras 2.21: a traceback of our loop, around a layer, around a traceback of the user's."""
    error = RuntimeError(
        "in user code:\n\n"
        f'    File "{ours.__file__}", line 46, in body  *\n'
        "        finite, rows = one_step(batch)\n\n"
        "    StagingError: Exception encountered when calling layer 'l' (type L).\n"
        "    \n"
        "    in user code:\n"
        "    \n"
        '        File "/user/model.py", line 16, in call  *\n'
        "            fail()\n"
        "    \n"
        "        LookupError: no such thing\n"
        "    \n"
        "    \n"
        "    Call arguments received by layer 'l' (type L):\n"
        "      • x=tf.Tensor(shape=(None, 2), dtype=float32)\n"
    )
    assert describe_exception(error) == "LookupError: no such thing (in layer 'l' (type L))"
    assert user_frames(error) == (Frame("/user/model.py", 16, "call", "fail()"),)
