"""Quantization-aware training: a model whose steps round weights and activations to 8 bits, as int8 kernels will.

tensorflow-model-optimization wraps the layers of a tf_keras model. Everything else of it stays: the names of layers and
outputs, optimizer, loss and metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from penstock.components.trainer import variable_creation
from penstock.components.trainer.keras_backend import Keras, is_sequential
from penstock.errors import UserCodeError

_REWRITTEN = ("BatchNormalization", "SeparableConv2D")
"""Layers that the library's registry lacks, because it puts others in their place before it looks there. A
BatchNormalization is folded into the layer before it, and refused where that takes none."""
_UNSUPPORTED = re.compile(r"Layer (?P<name>.+?):<class '(?:.*\.)?(?P<kind>\w+)'> is not supported")
_HINT = "build the model of layers that it supports, or leave quantize_aware out and convert with mode int8"


def quantized(model: Any, path: str, strategy: Any, keras: Keras) -> Any:
    """Return the quantization-aware twin of a compiled model, with its weights and compiled like it.

    Args:
        model: A compiled functional or Sequential model of tf_keras, not trained.
        path: Import path of the model_fn that made it.
        strategy: The ``tf.distribute.Strategy`` that it was made under.
        keras: tf_keras.

    Raises:
        UserCodeError: The library cannot quantize a layer of it.
    """
    from tensorflow_model_optimization.quantization.keras import quantize_model

    _require_layers(model, path, keras)
    _require_supported(model, path)
    # Ranges are statistics of the replicas' own batches, as those of a BatchNormalization are, and the library leaves
    # open how replicas agree on them.
    with strategy.scope(), variable_creation.layer_variables(strategy):
        try:
            made = quantize_model(model, quantized_layer_name_prefix="")
        except (RuntimeError, ValueError, TypeError) as error:
            raise _refused_by_library(error, path) from error
        # Private, but the only place where tf_keras keeps what the user gave, functions and objects as they are.
        made.compile(**model._compile_config.config)  # noqa: SLF001
    return made


def _require_layers(model: Any, path: str, keras: Keras) -> None:
    """Refuse a model that is more than its layers: a train_step of its own would be lost."""
    own = type(model).__module__.partition(".")[0] == "tf_keras"
    if not own or not (is_sequential(model) or getattr(model, "_is_graph_network", False)):
        raise UserCodeError(
            f"model_fn {path!r}: quantize_aware rebuilds a model from its layers, which leaves out code of its own",
            received=f"{type(model).__module__}.{type(model).__qualname__} {model.name!r}",
            expected=f"a functional {keras.name}.Model, or a Sequential one",
            hint="return keras.Model(inputs, outputs), or leave quantize_aware out",
        )
    if not model.built:
        raise UserCodeError(
            f"model_fn {path!r}: quantize_aware needs to know the shape of the model's input",
            received="a Sequential model without an Input",
            expected="a model whose layers are built",
            hint="begin it with keras.Input(shape, name=...)",
        )


def _require_supported(model: Any, path: str) -> None:
    refused = list(_refused(model))
    if refused:
        raise UserCodeError(
            f"model_fn {path!r}: quantize_aware does not support {len(refused)} of the model's layers",
            received="; ".join(refused),
            expected=f"some of {', '.join(_supported())}, with activation {', '.join(_activations())}",
            hint=_HINT,
        )


def _refused(model: Any) -> Iterator[str]:
    supported = {"InputLayer", *_supported()}
    for layer in model.layers:
        kind = type(layer).__name__
        if kind not in supported or type(layer).__module__.partition(".")[0] != "tf_keras":
            yield f"layer {layer.name!r} ({kind})"
        elif (activation := _name_of(getattr(layer, "activation", None))) not in (None, *_activations()):
            yield f"layer {layer.name!r} ({kind}) with activation {activation}"
    for tensor in model.inputs:
        if not tensor.dtype.is_floating:
            yield f"input {tensor.name!r} ({tensor.dtype.name})"


def _supported() -> list[str]:
    """Return the kinds of layers that the library quantizes, an Input aside."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_quantize_registry

    registry = default_8bit_quantize_registry.Default8BitQuantizeRegistry()
    listed = (kind.__name__ for kind in registry._layer_quantize_map)  # noqa: SLF001  It has no public list.
    return sorted({*listed, *_REWRITTEN})


def _activations() -> list[str]:
    from tensorflow_model_optimization.python.core.quantization.keras.quantize_aware_activation import (
        QuantizeAwareActivation,
    )

    before, after = QuantizeAwareActivation._PRE_QUANT_ACTIVATIONS, QuantizeAwareActivation._POST_QUANT_ACTIVATIONS  # noqa: SLF001
    return sorted(before | after)


def _name_of(activation: Any) -> str | None:
    return None if activation is None else getattr(activation, "__name__", type(activation).__name__)


def _refused_by_library(error: Exception, path: str) -> UserCodeError:
    said = str(error).partition("\n")[0]
    layer = _UNSUPPORTED.search(said)
    return UserCodeError(
        f"model_fn {path!r}: quantize_aware does not support the model",
        received=f"layer {layer['name']!r} ({layer['kind']}) where it stands" if layer else said,
        expected="layers that tensorflow-model-optimization quantizes, in an order in which it does",
        hint=_HINT,
    )
