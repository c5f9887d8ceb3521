"""The model that tells from its measurements which of three cultivars a wine was made of."""

from __future__ import annotations

from typing import Any

CATEGORIES = {"alcohol_bucket": 4, "color_band": 4}
"""Number of indices that ``examples.wine.preprocessing`` makes for each categorical column."""


def build_model(context: Any) -> Any:
    """Return a compiled dense network on all measurements and the one-hot categories.

    Args:
        context: ``context.inputs()`` gives a Keras input [batch, 1] for every column; ``context.hparams.units`` is the
            width of the hidden layer.
    """
    keras = context.keras
    inputs = context.inputs()
    columns = [
        keras.layers.CategoryEncoding(CATEGORIES[name])(column) if name in CATEGORIES else column
        for name, column in sorted(inputs.items())
    ]
    x = keras.layers.Concatenate()(columns)
    x = keras.layers.Dense(context.hparams.units, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
