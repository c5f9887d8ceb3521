"""The model that tells digits apart."""

from __future__ import annotations

from typing import Any


def build_model(context: Any) -> Any:
    """Return a small compiled convolutional network for images of any size.

    Args:
        context: ``context.inputs()["image"]`` is a Keras input [batch, side, side, 1]; ``context.hparams`` has
            ``units``, the width of the dense layer, and ``learning_rate``.
    """
    keras = context.keras
    inputs = context.inputs()
    x = keras.layers.Conv2D(16, 3, padding="same", activation="relu")(inputs["image"])
    x = keras.layers.Conv2D(32, 3, padding="same", activation="relu")(x)
    x = keras.layers.Flatten()(keras.layers.MaxPooling2D()(x))
    x = keras.layers.Dense(context.hparams.units, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(x))
    optimizer = keras.optimizers.Adam(context.hparams.learning_rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
