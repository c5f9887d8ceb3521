"""A user's module in which almost everything is wrong. ``test_bad_inputs`` puts it into a project of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import tensorflow as tf


def build(context: Any, layer: Any = None, feature: str = "point") -> Any:
    """Return a model that trains."""
    keras = context.keras
    inputs = {feature: keras.Input((2,), name=feature)}
    hidden = layer(inputs[feature]) if layer else inputs[feature]
    model = keras.Model(inputs, keras.layers.Dense(2, name="scores", activation="softmax")(hidden), name="net")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fail(*_: Any) -> NoReturn:
    raise LookupError("no such thing")


def nothing(context: Any) -> None:
    build(context)


def number(_context: Any) -> int:
    return 3


def uncompiled(context: Any) -> Any:
    inputs = {"point": context.keras.Input((2,), name="point")}
    return context.keras.Model(inputs, context.keras.layers.Dense(2)(inputs["point"]), name="plain")


def of_the_other_keras(_context: Any) -> Any:
    import tf_keras

    return tf_keras.Sequential([tf_keras.layers.Dense(2)])


def failing(_context: Any) -> Any:
    return fail()


def leaving(_context: Any) -> Any:
    raise SystemExit("bye")


def no_feature(context: Any) -> Any:
    return build(context, feature="pint")


def text_as_number(context: Any) -> Any:
    keras, inputs = context.keras, context.inputs()
    taken = {name: inputs[name] for name in ("point", "color")}
    joined = keras.layers.Concatenate()(list(taken.values()))
    model = keras.Model(taken, keras.layers.Dense(2, name="scores")(joined), name="net")
    model.compile("adam", "mse")
    return model


def other_shape(context: Any) -> Any:
    inputs = {"point": context.keras.Input((3,), name="point")}
    model = context.keras.Model(inputs, context.keras.layers.Dense(2, name="scores")(inputs["point"]), name="net")
    model.compile("adam", "mse")
    return model


def failing_layer(context: Any) -> Any:
    class Layer(context.keras.layers.Layer):  # type: ignore[misc]
        def call(self, points: Any, training: Any = None) -> Any:
            return fail() if training else points

    return build(context, Layer())


def failing_numpy(context: Any) -> Any:
    class Layer(context.keras.layers.Layer):  # type: ignore[misc]
        def call(self, points: Any) -> Any:
            return tf.ensure_shape(tf.numpy_function(fail, [points], tf.float32), points.shape)

    return build(context, Layer())


def failing_step(context: Any) -> Any:
    class Model(context.keras.Model):  # type: ignore[misc]
        def train_step(self, batch: Any) -> Any:
            for step in tf.range(3):
                if step > 1:
                    fail()
            return super().train_step(batch)

    inputs = {"point": context.keras.Input((2,), name="point")}
    model = Model(inputs, context.keras.layers.Dense(2, name="scores")(inputs["point"]))
    model.compile("adam", "mse")
    return model


def from_a_file(context: Any) -> Any:
    """Return a model that the configuration does not determine."""
    units = int(Path(__file__).with_name("units").read_text())
    return build(context, context.keras.layers.Dense(units, name="wide"))


def word(_context: Any) -> str:
    return "callback"


def callback_that_fails(context: Any) -> Any:
    class Callback(context.keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            fail(epoch, logs)

    return [Callback()]


def list_of_rows(*_: Any) -> Any:
    return [1, 2]


def unlabelled(*_: Any) -> Any:
    return tf.data.Dataset.from_tensor_slices({"point": tf.zeros([8, 2])})


def labelled(*_: Any, rows: int = 8) -> Any:
    return tf.data.Dataset.from_tensor_slices(({"point": tf.zeros([rows, 2])}, tf.zeros([rows], tf.int64)))


def endless(*_: Any) -> Any:
    return labelled().repeat()


def no_rows(*_: Any) -> Any:
    return labelled(rows=0)


def batched(*_: Any) -> Any:
    return labelled().batch(4)


def failing_rows(*_: Any) -> Any:
    def row(place: Any) -> Any:
        return {"point": tf.ensure_shape(tf.numpy_function(fail, [place], tf.float32), [2])}, place

    return tf.data.Dataset.range(8).map(row)


def failing_signatures(_context: Any, model: Any) -> Any:
    return {"again": fail(model)}


def signature_that_fails(_context: Any, _model: Any) -> Any:
    return {"again": (fail, [tf.TensorSpec([None], tf.string, name="text")])}
