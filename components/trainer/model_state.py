"""The trained state of a model as plain arrays, to give it to the same model made under another strategy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from penstock.components.trainer.keras_backend import Keras, underlying
from penstock.errors import UserCodeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHARD = re.compile(r"(.*)/part_(\d+)")
"""TensorFlow's name of one shard of a variable, which parameter servers split along the first axis."""


@dataclass(frozen=True)
class Value:
    """The value of one variable, whole even if it was sharded."""

    name: str
    array: NDArray[Any]


@dataclass(frozen=True)
class ModelState:
    """Values in the order in which :class:`~penstock.components.trainer.keras_backend.Keras` lists the variables.

    Args:
        variables: Of :meth:`~penstock.components.trainer.keras_backend.Keras.variables_of`.
        optimizer: Of :meth:`~penstock.components.trainer.keras_backend.Keras.optimizer_variables`.
    """

    variables: tuple[Value, ...]
    optimizer: tuple[Value, ...]


def read_state(model: Any, keras: Keras) -> ModelState:
    """Return the state of a model. Under a strategy of several workers all must call it at the same time.

    Args:
        model: The model, with all its variables built.
        keras: Its Keras.
    """
    return ModelState(_read(keras.variables_of(model)), _read(keras.optimizer_variables(model)))


def load_state(model: Any, state: ModelState, keras: Keras, path: str) -> None:
    """Give a state to a model that was made by the same function; nothing is changed if it does not fit.

    Args:
        model: The model, with all its variables built.
        state: The state.
        keras: The model's Keras.
        path: Import path of the model_fn.

    Raises:
        UserCodeError: The model has other variables.
    """
    variables = _wholes(keras.variables_of(model))
    optimizer = _wholes(keras.optimizer_variables(model))
    _require_alike(variables, state.variables, "variables", path)
    _require_alike(optimizer, state.optimizer, "optimizer variables", path)
    for whole, value in zip([*variables, *optimizer], [*state.variables, *state.optimizer], strict=True):
        whole.assign(value.array)


def has_finite_weights(model: Any) -> bool:
    """Return whether no trained weight is NaN or infinite."""
    floats = [variable for variable in underlying(model.trainable_variables) if variable.dtype.is_floating]
    return all(bool(tf.reduce_all(tf.math.is_finite(variable))) for variable in floats)


def copy_weights(source: Any, target: Any, keras: Keras, path: str) -> None:
    """Give a model the weights of another that the same function made, but not its optimizer and random state.

    Raises:
        UserCodeError: The models have other weights.
    """
    values, wholes = _read(keras.weights_of(source)), _wholes(keras.weights_of(target))
    _require_alike(wholes, values, "weights", path)
    for whole, value in zip(wholes, values, strict=True):
        whole.assign(value.array)


@dataclass(frozen=True)
class _Whole:
    """A variable, or all shards of one in their order."""

    name: str
    parts: list[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        first = tuple(self.parts[0].shape)
        return first if len(self.parts) == 1 else (sum(part.shape[0] for part in self.parts), *first[1:])

    def value(self) -> NDArray[Any]:
        arrays = [part.numpy() for part in self.parts]
        return np.asarray(arrays[0]) if len(arrays) == 1 else np.concatenate(arrays)

    def assign(self, array: NDArray[Any]) -> None:
        if len(self.parts) == 1:
            self.parts[0].assign(array)
            return
        begin = 0
        for part in self.parts:
            part.assign(array[begin : begin + part.shape[0]])
            begin += part.shape[0]


def _wholes(variables: Iterable[Any]) -> list[_Whole]:
    found: dict[str | int, _Whole] = {}
    for number, variable in enumerate(variables):
        name = str(variable.name).removesuffix(":0")
        shard = _SHARD.fullmatch(name)
        key = shard[1] if shard else number
        found.setdefault(key, _Whole(shard[1] if shard else name, [])).parts.append(variable)
    return list(found.values())


def _read(variables: Iterable[Any]) -> tuple[Value, ...]:
    return tuple(Value(whole.name, whole.value()) for whole in _wholes(variables))


def _require_alike(wholes: Sequence[_Whole], values: Sequence[Value], kind: str, path: str) -> None:
    for whole, value in zip(wholes, values, strict=False):
        here, trained = _shown(whole.shape, whole.parts[0].dtype), _shown(value.array.shape, value.array.dtype)
        if here != trained:
            raise _other_model(path, f"{here} for {whole.name!r}", f"{trained}, as {value.name!r} was before")
    if len(wholes) != len(values):
        raise _other_model(path, f"{len(wholes)} {kind}", f"{len(values)} {kind}, as before")


def _other_model(path: str, received: str, expected: str) -> UserCodeError:
    return UserCodeError(
        f"model_fn {path!r} made another model when it was called again for the same training",
        received=received,
        expected=expected,
        hint="for the same context it must always make the same layers in the same order",
    )


def _shown(shape: Iterable[int], dtype: Any) -> str:
    return f"{dtype.name}{list(shape)}"
