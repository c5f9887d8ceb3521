"""A SavedModel whose answer tells which version gave it, and which refuses some rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def save_scaler(folder: Path, factor: float) -> Path:
    """Save a model that multiplies ``x`` ([rows, 2]) by ``factor`` and refuses a batch with a negative number.

    ``serving_default`` takes ``x`` by name, ``serialized`` takes tf.Examples.
    """
    import tensorflow as tf

    class Scaler(tf.Module):  # type: ignore[misc]  # TensorFlow has no types.
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(factor, dtype=tf.float32)

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def by_name(self, x: Any) -> Any:
            refusal = tf.debugging.Assert(tf.logical_not(tf.reduce_any(x < 0)), ["a number is negative"])
            with tf.control_dependencies([refusal]):
                y = x * self.factor
            return {"y": y, "sum": tf.reduce_sum(y, axis=1)}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
        def serialized(self, examples: Any) -> Any:
            features = tf.io.parse_example(examples, {"x": tf.io.FixedLenFeature([2], tf.float32)})
            return self.by_name(features["x"])

    module = Scaler()
    signatures = {"serving_default": module.by_name, "serialized": module.serialized}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder
