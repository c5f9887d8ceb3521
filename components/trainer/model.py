"""Calls the user's ``model_fn`` and checks what comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.closest import did_you_mean
from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.feature_specs import describe
from penstock.components.trainer.keras_backend import Keras, is_sequential
from penstock.components.trainer.quantize_aware import quantized
from penstock.errors import UserCodeError
from penstock.user_code import import_function, user_code_boundary


@dataclass(frozen=True)
class ModelInputs:
    """The features that a model takes.

    Args:
        names: Feature names, sorted.
        single: The model's one input is a bare tensor, as a Sequential model without an Input takes it.
    """

    names: tuple[str, ...]
    single: bool = False

    def select(self, features: Mapping[str, Any]) -> Any:
        """Return of ``features`` what the model is called with."""
        return features[self.names[0]] if self.single else {name: features[name] for name in self.names}


def build_model(path: str, context: TrainerContext, strategy: Any, keras: Keras) -> Any:
    """Return the compiled model that the user's function makes, inside the strategy's scope.

    Args:
        path: Import path of the model_fn.
        context: What it receives.
        strategy: The ``tf.distribute.Strategy`` to train under.
        keras: The Keras that the model must be of.

    Raises:
        UserCodeError: The function cannot be imported, raises, or returns something that cannot be trained, or not
            quantization-aware where the context asks for that.
    """
    model_fn = import_function(path)
    with user_code_boundary(f"model_fn {path!r}"), strategy.scope(), keras.creation_scope(strategy):
        model = model_fn(context)
    _check_model(model, path, keras)
    return quantized(model, path, strategy, keras) if context.quantize_aware else model


def model_inputs(model: Any, features: Mapping[str, Any], path: str) -> ModelInputs:
    """Match the model's inputs with the features by name.

    A model that declares no inputs (a subclass of Model) takes all features as a dictionary; a Sequential model
    without an Input takes the only feature there is.

    Args:
        model: The model.
        features: The spec of the features that there are, without the label.
        path: Import path of the model_fn.

    Raises:
        UserCodeError: An input's name is no feature.
    """
    declared = [tensor.name for tensor in getattr(model, "inputs", None) or []]
    if not declared:
        return _undeclared_inputs(features, path, sequential=is_sequential(model))
    unknown = sorted(set(declared) - set(features))
    if unknown:
        raise UserCodeError(
            f"model_fn {path!r}: the model's input {', '.join(map(repr, unknown))} is no feature",
            received=f"inputs {', '.join(sorted(declared))}",
            expected=f"some of the features {describe(features)}",
            hint=did_you_mean(unknown[0], features) or "make the inputs with context.inputs()",
        )
    return ModelInputs(tuple(sorted(declared)))


def describe_outputs(model: Any) -> str:
    """Return names and shapes of a model's outputs for an error message."""
    outputs = getattr(model, "outputs", None)
    if not outputs:
        return "not declared"
    names = getattr(model, "output_names", None) or ["output"] * len(outputs)
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in zip(names, outputs, strict=False))


def _check_model(model: Any, path: str, keras: Keras) -> None:
    received = f"{type(model).__module__}.{type(model).__qualname__}"
    if not keras.is_model(model):
        raise UserCodeError(
            f"model_fn {path!r} returned no {keras.title} model",
            received=received if model is not None else "None",
            expected=f"a compiled {keras.name}.Model",
            hint=_hint_for(model, keras),
        )
    if not getattr(model, "compiled", True) or getattr(model, "optimizer", None) is None:
        raise UserCodeError(
            f"model_fn {path!r} returned a model that is not compiled",
            received=f"{received} {model.name!r}",
            expected="a compiled model",
            hint="call model.compile(optimizer=..., loss=..., metrics=[...]) before it is returned",
        )


def _hint_for(model: Any, keras: Keras) -> str:
    if model is None:
        return "end the function with: return model"
    if keras.is_foreign_model(model):
        other = "tf_keras" if keras.name == "keras" else "keras"
        return f"build it with context.keras, or set keras: {other}"
    return "return the model itself"


def _undeclared_inputs(features: Collection[str], path: str, *, sequential: bool) -> ModelInputs:
    if not sequential:
        return ModelInputs(tuple(sorted(features)))
    if len(features) == 1:
        return ModelInputs(tuple(features), single=True)
    raise UserCodeError(
        f"model_fn {path!r}: the Sequential model does not say which feature it takes",
        received="a Sequential model without an Input",
        expected=f"an Input named after one of the features {', '.join(sorted(features))}",
        hint="begin it with keras.Input(shape, name=...), or build a functional model on context.inputs()",
    )
