"""Engines on tiny models, and what one of two replicas does, which needs two logical CPUs from the start of a process.

``python -m tests.components.trainer.engines FOLDER`` writes what it found to ``findings.json``.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from penstock.components.trainer.execution import SyncEngine

Batch = tuple[dict[str, Any], Any]
WORDS, WIDTH = 1000, 4


def batches_of(sizes: Sequence[int], *, length: Sequence[int] = (2,)) -> list[Batch]:
    """Return batches of so many rows, with so many words a row, over and over."""
    source = np.random.default_rng(0)
    return [
        (
            {"point": source.random([rows, 2], np.float32), "words": source.integers(0, WORDS, [rows, words])},
            source.integers(0, 2, [rows]),
        )
        for rows, words in zip(sizes, cycle(length), strict=False)
    ]


def dataset(batches: Iterable[Batch]) -> Any:
    import tensorflow as tf

    kept = list(batches)
    spec = (
        {"point": tf.TensorSpec([None, 2], tf.float32), "words": tf.TensorSpec([None, None], tf.int64)},
        tf.TensorSpec([None], tf.int64),
    )
    return tf.data.Dataset.from_generator(lambda: iter(kept), output_signature=spec)


def model_of(keras: Any, *, sparse: bool = False, words: int | None = None, kind: Any = None) -> Any:
    """Return a compiled model of two dense outputs; if it is sparse, with the sum of some words' embeddings."""
    import tensorflow as tf

    module = keras.module

    class Rows(module.metrics.Sum):  # type: ignore[name-defined,misc]
        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
            return super().update_state(tf.ones(tf.shape(y_true)[:1]))

    inputs = {
        "point": module.Input((2,), name="point"),
        "words": module.Input((words,), name="words", dtype="int64"),
    }
    hidden = inputs["point"]
    if sparse:
        total = module.ops.sum(module.layers.Embedding(WORDS, WIDTH)(inputs["words"]), axis=1)
        hidden = module.layers.Concatenate()([hidden, total])
    outputs = module.layers.Dense(2, activation="softmax")(hidden)
    model = (kind or module.Model)(inputs, outputs)
    model.compile(module.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=[Rows(name="rows")])
    return model


def engine_of(
    keras: Any,
    training: Any,
    *,
    evaluation: Any = None,
    make_model: Callable[[Any], Any] = model_of,
    strategy: Any = None,
    alike: Callable[[int], int] = lambda _taken: 1,
) -> SyncEngine:
    """Return an engine, its model made under a strategy; ``evaluation`` is a list of batches."""
    import tensorflow as tf

    from penstock.components.trainer.execution import EngineData, SyncEngine
    from penstock.components.trainer.feed import HostFeed

    strategy = strategy or tf.distribute.get_strategy()
    keras.set_seed(0)
    with strategy.scope(), keras.creation_scope(strategy):
        model = make_model(keras)
    keras.build(model, training.element_spec)
    replicas = strategy.num_replicas_in_sync
    passes = evaluation if evaluation is not None else batches_of([4] * replicas)
    data = EngineData(lambda: training, dataset(passes), len(passes) // replicas, HostFeed(replicas), alike=alike)
    return SyncEngine(model, strategy, data, keras=keras)


def results(keras: Any, engine: SyncEngine) -> dict[str, float]:
    return {name: float(value) for name, value in keras.epoch_results(engine._model).items()}


class _Findings:
    """What an engine of two replicas does."""

    def __init__(self, keras: Any, strategy: Any) -> None:
        self.keras = keras
        self.strategy = strategy

    def engine(self, batches: Iterable[Batch], **options: Any) -> SyncEngine:
        return engine_of(self.keras, dataset(batches), strategy=self.strategy, **options)

    def sparse(self, keras: Any) -> Any:
        return model_of(keras, sparse=True)

    def exchange(self) -> list[Any]:
        """Bytes of dense gradients, of sparse ones, and of sparse ones that a train_step of the user's applies."""

        class Users(self.keras.module.Model):  # type: ignore[name-defined,misc]
            def train_step(self, data: Any) -> dict[str, Any]:
                import tensorflow as tf

                inputs, label = data
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(inputs, label, self(inputs, training=True))
                gradients = tape.gradient(loss, self.trainable_variables)
                self.optimizer.apply(gradients, self.trainable_variables)
                return {"loss": loss}

        makers = [model_of, self.sparse, lambda keras: model_of(keras, sparse=True, kind=Users)]
        found = []
        for make in makers:
            engine = self.engine(batches_of([8] * 8), make_model=make)
            engine.train(4)
            exchange = engine.exchange()
            assert exchange is not None
            found.append([exchange.bytes, exchange.seconds])
        return found

    def varying(self) -> dict[str, list[float]]:
        """Steps taken and rows seen of batches whose sparse gradients differ in size, within one request for steps."""
        cases = {
            "rows": batches_of([8, 8, 8, 8, 3, 3]),
            "words": batches_of([8] * 6, length=[2, 2, 5, 3, 1, 1]),
            "no_words": batches_of([8] * 6, length=[0, 2, 0, 0, 3, 0]),
        }
        found = {}
        for name, batches in cases.items():
            engine = self.engine(batches, make_model=self.sparse)
            engine.train(6)
            steps = float(engine._model.optimizer.iterations.numpy())
            found[name] = [steps, results(self.keras, engine)["rows"]]
        return found

    def calls(self) -> dict[str, list[int]]:
        """Steps of each call into TensorFlow, where every fifth step has a smaller batch."""
        batches = list(islice(cycle(batches_of([8] * 8 + [3] * 2)), 40))
        found = {}
        fixed = partial(model_of, sparse=True, words=2)
        makers = {"dense": model_of, "fixed": fixed, "any_length": self.sparse, "subclassed": self.subclassed}
        for name, make in makers.items():
            engine = self.engine(batches, make_model=make, alike=lambda taken: max(1, 4 - taken % 5))
            steps: list[int] = []
            train = engine._train

            def counted(iterator: Any, count: Any, train: Any = train, steps: Any = steps) -> Any:
                steps.append(int(count))
                return train(iterator, count)

            engine._train = counted
            engine.train(12)
            found[name] = steps
        return found

    def subclassed(self, keras: Any) -> Any:
        """A model that does not show what shapes it has inside."""
        module = keras.module

        class Net(module.Model):  # type: ignore[name-defined,misc]
            def __init__(self) -> None:
                super().__init__()
                self.table = module.layers.Embedding(WORDS, WIDTH)
                self.score = module.layers.Dense(2, activation="softmax")

            def call(self, features: Any) -> Any:
                return self.score(self.table(features["words"])[:, 0])

        model = Net()
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def bad_step(self) -> int | None:
        """The step with a number that is none, of several calls."""
        batches = batches_of([8] * 20)
        batches[11][0]["point"][0] = np.nan
        return self.engine(batches, make_model=self.sparse).train(10).bad_step

    def evaluated(self) -> dict[str, float]:
        """Results of a pass in which the second replica runs out of rows."""
        engine = self.engine(batches_of([8, 8]), evaluation=batches_of([4, 4, 3, 0]))
        engine.evaluate()
        return results(self.keras, engine)


def main(folder: Path) -> None:
    import tensorflow as tf

    from tests.components.trainer.data import keras_3

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    findings = _Findings(keras_3(), tf.distribute.MirroredStrategy(["cpu:0", "cpu:1"]))
    names = ("exchange", "varying", "calls", "bad_step", "evaluated")
    (folder / "findings.json").write_text(json.dumps({name: getattr(findings, name)() for name in names}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
