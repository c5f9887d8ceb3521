"""The signatures of an exported model that a user's ``serving_fn`` adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from penstock.components.trainer.context import TrainerContext
from penstock.errors import UserCodeError
from penstock.user_code import import_function, user_code_boundary

SERVING_DEFAULT = "serving_default"
"""Takes ``examples``, a vector of serialized raw tf.Examples."""
PREDICT = "predict"
"""Takes raw features by name, the batch as first dimension."""
_TAKEN = (
    *(SERVING_DEFAULT, PREDICT),
    # What Keras's ExportArchive, which holds the functions as attributes, calls its own.
    *("variables", "trainable_variables", "non_trainable_variables"),
    *("track", "add_endpoint", "track_and_add_endpoint", "add_variable_collection", "write_out"),
)
_EXAMPLE = "{'name': (function, [tf.TensorSpec([None], tf.string, name='examples')])}"


@dataclass(frozen=True)
class Signature:
    """One function of an exported model.

    Args:
        name: The name that callers use.
        function: Takes tensors and returns a tensor, a list or a dictionary of tensors.
        specs: The TensorSpecs of its inputs by name. Names are those that callers use.
        by_name: The function takes one dictionary of all inputs; otherwise one positional argument each.
    """

    name: str
    function: Callable[..., Any]
    specs: Mapping[str, Any]
    by_name: bool = False

    @property
    def arguments(self) -> list[Any]:
        """The specs as the function's positional arguments."""
        return [dict(self.specs)] if self.by_name else list(self.specs.values())

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to inputs given by name; outputs are named as a SavedModel names them."""
        tensors = {name: tf.convert_to_tensor(inputs[name], spec.dtype) for name, spec in self.specs.items()}
        answer = self.function(tensors) if self.by_name else self.function(*tensors.values())
        if isinstance(answer, Mapping):
            return dict(answer)
        listed = answer if isinstance(answer, Sequence) else [answer]
        return {f"output_{number}": value for number, value in enumerate(listed)}


def user_signatures(path: str, context: TrainerContext, model: Any) -> tuple[Signature, ...]:
    """Return the signatures that the user's ``serving_fn`` asks for.

    Args:
        path: Import path of ``serving_fn(context, model)``, which returns a mapping of names to (function, specs).
            Specs is a list of named TensorSpecs, one a positional argument, or a mapping of names to TensorSpecs, if
            the function takes one dictionary.
        context: What ``model_fn`` received.
        model: The trained model.

    Raises:
        UserCodeError: The function cannot be imported, raises, or returns something else.
    """
    serving_fn = import_function(path)
    with user_code_boundary(f"serving_fn {path!r}"):
        returned = serving_fn(context, model)
    if not isinstance(returned, Mapping):
        raise UserCodeError(
            f"serving_fn {path!r} returned no signatures",
            received=type(returned).__name__,
            expected=f"a mapping such as {_EXAMPLE}",
        )
    return tuple(_signature(path, name, value) for name, value in returned.items())


def _signature(path: str, name: object, value: object) -> Signature:
    subject = f"serving_fn {path!r}: signature {name!r}"
    if name in _TAKEN:
        raise UserCodeError(
            f"{subject} has a name that is taken", received=str(name), expected=f"none of {', '.join(_TAKEN)}"
        )
    if not isinstance(name, str) or not name.isidentifier() or name.startswith("_"):
        raise UserCodeError(
            f"{subject} has no usable name", received=repr(name), expected="letters, digits and _, a letter first"
        )
    if not isinstance(value, tuple) or len(value) != 2:
        raise UserCodeError(f"{subject} is no pair", received=repr(value), expected="(function, input TensorSpecs)")
    function, specs = value
    if not callable(function):
        raise UserCodeError(f"{subject} has no function", received=repr(function), expected="something to call")
    return Signature(name, function, _specs(subject, specs), by_name=isinstance(specs, Mapping))


def _specs(subject: str, specs: Any) -> dict[str, Any]:
    if isinstance(specs, Mapping):
        pairs = list(specs.items())
    else:
        pairs = [(getattr(spec, "name", None), spec) for spec in specs] if isinstance(specs, list | tuple) else []
    for name, spec in pairs:
        if not isinstance(spec, tf.TensorSpec) or not isinstance(name, str):
            raise _bad_specs(subject, repr(spec))
    if not pairs or len({name for name, _ in pairs}) < len(pairs):
        raise _bad_specs(subject, repr(specs))
    return {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in pairs}


def _bad_specs(subject: str, received: str) -> UserCodeError:
    return UserCodeError(
        f"{subject} does not say what it takes",
        received=received,
        expected="a list of tf.TensorSpec(shape, dtype, name=...) of different names, or a mapping of names to them",
    )
