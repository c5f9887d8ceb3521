"""User code for benchmarks of whole trainings: models, and a callback that takes the time."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from benchmarks.trainer_data import CLASSES, MEASURES, PLACE_COUNT, PLACES, PLACES_A_ROW, WIDTH

LEARNING_RATE = 0.001
TIMES = "times"
"""Hyperparameter with the folder in which :func:`stopwatch` leaves its figures."""
WARM_UP_EPOCHS = 1
"""Epochs that do not count: the first traces the steps, fills the cache and settles how many steps a call takes."""


def small(context: Any) -> Any:
    """Return a model whose step is so short that what surrounds it counts: 10 numbers, Dense 16, softmax of 10."""
    return small_model(context.keras)


def small_model(keras: Any, **compile_options: Any) -> Any:
    """Return the small model, compiled; further options go to ``compile``."""
    return _classifier(keras, _measures(keras), (16,), **compile_options)


def dense(context: Any) -> Any:
    """Return a model of dense layers of ``hparams.units``."""
    return _classifier(context.keras, _measures(context.keras), context.hparams.units)


def embedding(context: Any) -> Any:
    """Return a model with a large table, of which each step reads and changes a few rows, before dense layers."""
    keras, hparams = context.keras, context.hparams
    places = keras.Input((PLACES_A_ROW,), dtype="int64", name=PLACES)
    embedded = keras.layers.Embedding(PLACE_COUNT, hparams.dimensions)(places)
    inputs = {**_measures(keras), PLACES: places}
    joined = keras.layers.Concatenate()([inputs[MEASURES], keras.layers.Flatten()(embedded)])
    return _classifier(keras, inputs, hparams.units, joined)


def _measures(keras: Any) -> dict[str, Any]:
    return {MEASURES: keras.Input((WIDTH,), name=MEASURES)}


def _classifier(
    keras: Any, inputs: dict[str, Any], units: Any, joined: Any | None = None, **compile_options: Any
) -> Any:
    output = inputs[MEASURES] if joined is None else joined
    for width in units:
        output = keras.layers.Dense(width, activation="relu")(output)
    model = keras.Model(inputs, keras.layers.Dense(CLASSES, activation="softmax")(output))
    optimizer = keras.optimizers.Adam(LEARNING_RATE)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **compile_options)
    return model


def stopwatch(context: Any) -> Any:
    """Return a callback that writes the seconds of all epochs after the first, validation and checkpoints included."""

    class Stopwatch(context.keras.callbacks.Callback):  # type: ignore[name-defined, misc, unused-ignore]
        def on_epoch_begin(self, epoch: int, _logs: Any = None) -> None:
            if epoch == WARM_UP_EPOCHS:
                self.began = time.perf_counter()

        def on_train_end(self, _logs: Any = None) -> None:
            seconds = time.perf_counter() - self.began
            file = Path(context.hparams[TIMES]) / f"{os.getpid()}.json"
            file.write_text(json.dumps(seconds), encoding="utf-8")

    return Stopwatch()


def counted_seconds(folder: Path) -> float:
    """Return what :func:`stopwatch` measured, in the process that took longest."""
    return max(float(json.loads(file.read_text(encoding="utf-8"))) for file in folder.glob("*.json"))
