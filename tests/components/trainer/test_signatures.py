"""Signatures of the user's own: what ``serving_fn`` may return."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import UserCodeError
from tests.components.trainer.data import ToyData, toy_context

SOURCE = """
import tensorflow as tf
def spec(name="point"):
    return tf.TensorSpec([None, 2], tf.float32, name=name)
def serve(context, model):
    return RETURNED
"""


@pytest.fixture
def signatures(user_module: Callable[[str], str], toy: ToyData) -> Callable[[str], Any]:
    def make(returned: str) -> Any:
        import keras

        from penstock.components.trainer.preprocessing import load_preprocessing
        from penstock.components.trainer.signatures import user_signatures

        context = toy_context(load_preprocessing(None, toy.schema), keras)
        return user_signatures(f"{user_module(SOURCE.replace('RETURNED', returned))}.serve", context, "the model")

    return make


def test_arguments_by_position_or_by_name(signatures: Callable[[str], Any]) -> None:
    import tensorflow as tf

    added, named = signatures(
        "{'added': (lambda a, b: [a + b, a], [spec('a'), spec('b')]),"
        " 'named': (lambda inputs: {'model': model, 'b': inputs['b']}, {'b': spec()})}"
    )
    assert (added.name, added.by_name, added.arguments) == (
        "added",
        False,
        [tf.TensorSpec([None, 2], tf.float32, name=name) for name in "ab"],
    )
    answer = added({"a": [[1.0, 2.0]], "b": [[3.0, 4.0]]})
    assert {name: value.numpy().tolist() for name, value in answer.items()} == {
        "output_0": [[4.0, 6.0]],
        "output_1": [[1.0, 2.0]],
    }
    assert (named.name, named.by_name, named.arguments) == (
        "named",
        True,
        [{"b": tf.TensorSpec([None, 2], tf.float32, name="b")}],
    )
    answer = named({"b": [[3.0, 4.0]]})
    assert (answer["model"], answer["b"].numpy().tolist()) == ("the model", [[3.0, 4.0]])


TAKEN = (
    "none of serving_default, predict, variables, trainable_variables, non_trainable_variables, track, "
    "add_endpoint, track_and_add_endpoint, add_variable_collection, write_out"
)
NAMED_SPECS = "a list of tf.TensorSpec(shape, dtype, name=...) of different names, or a mapping of names to them"


@pytest.mark.parametrize(
    ("returned", "what", "received", "expected"),
    [
        (
            "None",
            "returned no signatures",
            "NoneType",
            "a mapping such as {'name': (function, [tf.TensorSpec([None], tf.string, name='examples')])}",
        ),
        (
            "{'predict': (len, [spec()])}",
            "signature 'predict' has a name that is taken",
            "predict",
            TAKEN,
        ),
        (
            "{'2nd': (len, [spec()])}",
            "signature '2nd' has no usable name",
            "'2nd'",
            "letters, digits and _, a letter first",
        ),
        ("{'a': len}", "signature 'a' is no pair", "<built-in function len>", "(function, input TensorSpecs)"),
        ("{'a': (3, [spec()])}", "signature 'a' has no function", "3", "something to call"),
        ("{'a': (len, [])}", "signature 'a' does not say what it takes", "[]", NAMED_SPECS),
        ("{'a': (len, spec())}", "signature 'a' does not say what it takes", "TensorSpec(", NAMED_SPECS),
        ("{'a': (len, [3])}", "signature 'a' does not say what it takes", "3", NAMED_SPECS),
        ("{'a': (len, [spec(None)])}", "signature 'a' does not say what it takes", "TensorSpec(", NAMED_SPECS),
        ("{'a': (len, [spec(), spec()])}", "signature 'a' does not say what it takes", "[TensorSpec(", NAMED_SPECS),
    ],
)
def test_what_is_no_signature(
    signatures: Callable[[str], Any], returned: str, what: str, received: str, expected: str
) -> None:
    with pytest.raises(UserCodeError) as caught:
        signatures(returned)
    assert caught.value.what.endswith(what)
    assert str(caught.value.received).startswith(received)
    assert caught.value.expected == expected


def test_a_serving_fn_that_raises(signatures: Callable[[str], Any]) -> None:
    with pytest.raises(UserCodeError, match="raised ZeroDivisionError: division by zero") as caught:
        signatures("1 / 0")
    assert [frame.source for frame in caught.value.frames] == ["return 1 / 0"]
