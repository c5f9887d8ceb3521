"""The model: everything that is yours. The Trainer owns input, training, checks and export."""

from typing import Any


def build_model(context: Any) -> Any:
    """Return a compiled Keras model for the columns of data/iris.csv."""
    keras = context.keras
    inputs = context.inputs()
    x = keras.layers.Concatenate()(list(inputs.values()))
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dense(context.hparams.units, activation="relu")(x)
    model = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
