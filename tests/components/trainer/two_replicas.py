"""Trains and exports under strategies of two replicas, which need two logical CPUs from the start of a process.

``python -m tests.components.trainer.two_replicas keras|tf_keras FOLDER`` prints what it found as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.argv[1:2] == ["tf_keras"]:
    os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf

from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.export import ServingModel, export_saved_model, save_keras_file
from penstock.components.trainer.feed import HostFeed
from penstock.components.trainer.keras_backend import Keras, load_keras
from penstock.components.trainer.model import build_model, model_inputs
from penstock.components.trainer.model_state import copy_weights, read_state
from penstock.components.trainer.options import GateOptions
from penstock.components.trainer.predict_gate import check_saved_model
from penstock.components.trainer.preprocessing import Preprocessing, load_preprocessing, serving_spec
from penstock.components.trainer.signatures import user_signatures
from penstock.components.trainer.twin import undistributed, untrained_twin
from penstock.components.trainer.warm_start import apply_warm_start
from penstock.errors import EnvironmentProblem
from tests.components.trainer.data import SCHEMA, separable_rows, serialize, toy_context

ROWS, BATCH, STEPS = 96, 32, 5
_EXPORTED = {"mirrored", "mixed"}
"""What is exported of the others is the same model without a strategy, which ``layers`` and ``distributed`` show."""
SPEC = ({"point": tf.TensorSpec([None, 2], tf.float32)}, tf.TensorSpec([None], tf.int64))


def plain(context: TrainerContext) -> Any:
    """A model whose replicas together compute what one computes alone."""
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    hidden = keras.layers.Dense(4, activation="tanh")(inputs["point"])
    return _compiled(context, keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(hidden)))


def stateful(context: TrainerContext) -> Any:
    """A model with moving statistics and random numbers, whose variables are made when it is first called."""
    keras = context.keras

    class Net(keras.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.norm = keras.layers.BatchNormalization()
            self.drop = keras.layers.Dropout(0.5)
            self.score = keras.layers.Dense(2, activation="softmax")

        def call(self, features: Any, training: bool = False) -> Any:  # noqa: FBT001, FBT002
            return self.score(self.drop(self.norm(features["point"], training=training), training=training))

    return _compiled(context, Net())


def _compiled(context: TrainerContext, model: Any) -> Any:
    keras = context.keras
    model.compile(
        keras.optimizers.Adam(0.1),
        "sparse_categorical_crossentropy",
        metrics=["accuracy", keras.metrics.SparseCategoricalCrossentropy(name="entropy")],
    )
    return model


def serve(context: TrainerContext, model: Any) -> dict[str, Any]:
    """A signature of the user's own."""
    spec = tf.TensorSpec([None, 2], tf.float32, name="point")
    return {"doubled": (lambda point: 2 * model({"point": point}, training=False), [spec])}


def strategies() -> dict[str, Any]:
    return {
        "default": tf.distribute.get_strategy(),
        "mirrored": tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]),
        "central_storage": tf.distribute.experimental.CentralStorageStrategy(["cpu:0", "cpu:1"], "cpu:0"),
    }


class Bench:
    """One Keras and the toy data."""

    def __init__(self, keras: Keras, folder: Path) -> None:
        self.keras = keras
        self.folder = folder
        schema = folder / "schema.pbtxt"
        schema.write_text(SCHEMA)
        self.preprocessing: Preprocessing = load_preprocessing(None, schema)
        self.context = toy_context(self.preprocessing, keras.module)
        rows = separable_rows(ROWS, seed=1)
        self.examples = [serialize(row) for row in rows]
        points = np.array([row["point"] for row in rows], np.float32)
        self.data = ({"point": points}, np.array([row["label"][0] for row in rows]))

    def built(self, make: str, strategy: Any) -> Any:
        self.keras.set_seed(3)
        self.keras.restart_names()
        model = build_model(
            f"{__name__ if __name__ != '__main__' else __spec__.name}.{make}", self.context, strategy, self.keras
        )
        self.keras.build(model, SPEC)
        return model

    def counts(self, model: Any) -> list[int]:
        keras = self.keras
        return [
            len(list_of(model)) for list_of in (keras.variables_of, keras.optimizer_variables, keras.metric_variables)
        ]

    def train(self, model: Any, strategy: Any) -> dict[str, float]:
        feed = HostFeed(strategy.num_replicas_in_sync)
        rows = tf.data.Dataset.from_tensor_slices(self.data).repeat()
        batches = feed.iterator(rows.batch(BATCH // strategy.num_replicas_in_sync))

        def replica(batch: Any) -> None:
            model.train_step(feed.mine(batch))

        @tf.function
        def steps() -> None:
            for _ in tf.range(STEPS):
                strategy.run(replica, args=(feed.take(batches),))

        steps()
        return {name: float(value) for name, value in self.keras.epoch_results(model).items()}

    def evaluate(self, model: Any, strategy: Any) -> dict[str, float]:
        """One pass, in which the last batches of the second replica have no rows."""
        keras = self.keras
        keras.reset_metrics(model)
        batches = tf.data.Dataset.from_tensor_slices(self.data).batch(BATCH)
        empty = batches.take(1).map(lambda features, label: ({"point": features["point"][:0]}, label[:0]))
        data = batches.concatenate(empty) if strategy.num_replicas_in_sync > 1 else batches
        feed = HostFeed(strategy.num_replicas_in_sync)
        iterator = feed.iterator(data)
        steps = -(-int(data.cardinality()) // strategy.num_replicas_in_sync)

        def replica(batches: Any) -> None:
            batch = feed.mine(batches)

            def update() -> Any:
                keras.test_step(model, batch)
                return tf.constant(0)

            tf.cond(tf.shape(batch[1])[0] > 0, update, lambda: tf.constant(0))

        @tf.function
        def run() -> None:
            for _ in tf.range(steps):
                strategy.run(replica, args=(feed.take(iterator),))

        run()
        return {name: float(value) for name, value in keras.epoch_results(model).items()}

    def findings(self, make: str, name: str, strategy: Any) -> Iterator[tuple[str, Any]]:
        keras = self.keras
        model = self.built(make, strategy)
        before = self.counts(model)
        yield "logs", self.train(model, strategy)
        yield "variables", [before, self.counts(model)]
        yield "aggregation", {v.name: v.aggregation.name for v in keras.variables_of(model) if not v.trainable}
        yield "evaluation", self.evaluate(model, strategy)
        keras.reset_metrics(model)
        yield "reset", sum(float(tf.reduce_sum(variable.numpy())) for variable in keras.metric_variables(model))
        state = read_state(model, keras)
        path = f"{__spec__.name}.{make}"
        whole = undistributed(path, self.context, state, keras=keras, batch=SPEC)
        yield "layers", [[layer.name for layer in each.layers] for each in (model, whole)]
        yield "distributed", any(hasattr(v, "values") for v in keras.variables_of(whole))
        yield "weights", {value.name: value.array.tolist() for value in read_state(whole, keras).variables}
        yield "iterations", int(whole.optimizer.iterations.numpy())
        if name in _EXPORTED:
            yield "gate", self.exported(whole, f"{make}-{name}")
        fresh = self.built(make, strategy)
        file = self.folder / f"{make}-{name}.keras"
        save_keras_file(whole, file)
        twin = untrained_twin(path, self.context, keras=keras, batch=SPEC)
        yield "warm", apply_warm_start(twin, file)
        copy_weights(twin, fresh, keras, path)
        yield "warm_weights", {variable.name[:-2]: variable.numpy().tolist() for variable in keras.weights_of(fresh)}
        yield "warm_iterations", int(fresh.optimizer.iterations.numpy())
        if make == "plain":
            yield "warm_logs", self.train(fresh, strategy)

    def exported(self, model: Any, name: str) -> list[Any]:
        inputs = model_inputs(model, self.context.feature_spec, "stateful")
        raw = serving_spec(self.preprocessing, inputs.names, "label")
        further = user_signatures(f"{__spec__.name}.serve", self.context, model)
        serving = ServingModel(model, inputs, self.preprocessing, raw, further)
        export_saved_model(serving, self.folder / name, self.keras)
        checks = check_saved_model(self.folder / name, serving, self.examples[:5], GateOptions(), self.keras)
        return [[check.signature, check.rows, check.not_checked] for check in checks]


def main(name: Any, folder: Path) -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    bench = Bench(load_keras(name), folder)
    made = strategies()
    found = {
        make: {kind: dict(bench.findings(make, kind, strategy)) for kind, strategy in made.items()}
        for make in ("plain", "stateful")
    }
    with bench.keras.precision("mixed_bfloat16"):
        found["mixed"] = {"mirrored": dict(bench.findings("plain", "mixed", made["mirrored"]))}
    sys.stdout.write(json.dumps({"findings": found, "refusal": refusal("tf_keras" if name == "keras" else "keras")}))


def refusal(other: Any) -> str:
    try:
        load_keras(other)
    except EnvironmentProblem as error:
        return str(error)
    return "none"


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
