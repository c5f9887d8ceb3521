"""A SavedModel → a flatbuffer in one quantization mode, as TensorFlow's converter makes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.components.tflite_converter.compaction import compact
from penstock.components.tflite_converter.config import INTEGER, Mode, TFLiteConverterConfig
from penstock.components.tflite_converter.unsupported import Refusal, refusal_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = Mapping[str, NDArray[Any]]
    """Input → array, batch first."""
    Calibration = Callable[[], Iterator[tuple[str, Rows]]]
    """Yields signature and inputs of one call."""


def to_flatbuffer(
    saved_model: Path, mode: Mode, config: TFLiteConverterConfig, calibration: Calibration
) -> bytes | Refusal:
    """Convert the configured signatures of a SavedModel.

    Args:
        saved_model: The model, of the shapes that the flatbuffer shall have.
        mode: The quantization.
        config: Signatures, types of inputs and outputs, and which ops are allowed.
        calibration: Rows for the modes whose activations are integers.

    Returns:
        The flatbuffer, or why there is none.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model), signature_keys=list(config.signatures))
    if mode != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if mode == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if mode in INTEGER:
        converter.representative_dataset = calibration
        converter.inference_input_type = converter.inference_output_type = tf.as_dtype(config.io_type(mode))
    converter.target_spec.supported_ops = _op_sets(mode, config)
    try:
        with _quietly():
            return compact(bytes(converter.convert()), where=f"the {mode} model")
    except (ConverterError, RuntimeError, ValueError) as error:
        return refusal_of(error)


def _op_sets(mode: Mode, config: TFLiteConverterConfig) -> list[Any]:
    import tensorflow as tf

    ops = tf.lite.OpsSet
    integer = {
        "int8": ops.TFLITE_BUILTINS_INT8,
        "int16x8": ops.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
    }
    sets = [integer.get(mode, ops.TFLITE_BUILTINS)]
    if mode in INTEGER and config.allow_float_ops:
        sets.append(ops.TFLITE_BUILTINS)
    if config.allow_select_tf_ops:
        sets.append(ops.SELECT_TF_OPS)
    return sets


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep TensorFlow's converter from warning about its own calibrator."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*Warning: tf.lite.Interpreter is deprecated")
        yield
