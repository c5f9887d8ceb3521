"""The engine that takes training steps, without the Trainer around it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.components.trainer import engines
from tests.components.trainer.agreement import run_python
from tests.components.trainer.data import keras_3
from tests.components.trainer.engines import batches_of, dataset, engine_of, model_of, results


@pytest.fixture
def keras() -> Iterator[Any]:
    made = keras_3()
    with made.precision("float32"):
        yield made


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What two replicas do."""
    folder = tmp_path_factory.mktemp("mirrored")
    run_python([engines.__name__, str(folder)])
    found: dict[str, Any] = json.loads((folder / "findings.json").read_text())
    return found


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_the_step_with_a_loss_that_is_no_number_is_named(keras: Any, value: float) -> None:
    batches = batches_of([4] * 40)
    batches[13][0]["point"][0] = value
    engine = engine_of(keras, dataset(batches))
    first, then = engine.train(10), engine.train(30)
    assert (first.steps, first.bad_step) == (10, None)
    assert (then.steps, then.bad_step) == (30, 3)


def test_calls_one_after_the_other_count_as_one() -> None:
    from penstock.components.trainer.execution import Execution

    good, bad = Execution(2, 1.0, 0.25, None), Execution(3, 2.0, 0.5, 1)
    assert good.then(good) == Execution(4, 2.0, 0.5, None)
    assert good.then(bad) == Execution(5, 3.0, 0.75, 3)
    assert bad.then(good) == Execution(5, 3.0, 0.75, 1)
    assert bad.then(bad).bad_step == 1


def test_every_row_is_evaluated_once_and_no_rows_change_nothing(keras: Any) -> None:
    sizes = [3, 0, 2, 0]
    batches = batches_of(sizes)
    engine = engine_of(keras, dataset(batches_of([4] * 4)), evaluation=batches)
    engine.evaluate()
    found = results(keras, engine)
    points, labels = (np.concatenate(parts) for parts in zip(*((b[0]["point"], b[1]) for b in batches), strict=True))
    scores = np.asarray(engine._model({"point": points, "words": np.zeros([5, 2], np.int64)}))
    expected = -np.log(scores[np.arange(5), labels]).mean()
    assert found == {"loss": pytest.approx(expected, rel=1e-5), "rows": 5.0}
    keras.reset_metrics(engine._model)
    engine.evaluate()
    assert results(keras, engine) == pytest.approx(found)


def test_logs_are_those_of_the_steps_so_far(keras: Any) -> None:
    engine = engine_of(keras, dataset(batches_of([4, 2, 1])))
    engine.train(3)
    assert engine.local_logs() == pytest.approx(results(keras, engine))
    assert engine.local_logs()["rows"] == 7.0


def test_one_replica_agrees_with_itself_and_exchanges_nothing(keras: Any) -> None:
    engine = engine_of(keras, dataset(batches_of([4])))
    assert engine.gather([1.5, 2.0]) == [[1.5, 2.0]]
    assert engine.exchange() is None


def test_a_step_that_waits_for_its_batch(keras: Any) -> None:
    import tensorflow as tf

    def slow(label: Any) -> Any:
        time.sleep(0.05)
        return label

    ready = dataset(batches_of([4])).repeat()
    waiting = ready.map(
        lambda inputs, label: (inputs, tf.ensure_shape(tf.numpy_function(slow, [label], tf.int64), [None]))
    )
    engine = engine_of(keras, waiting)
    engine.train(1)
    execution = engine.train(10)
    # However long a busy machine takes to compute: the batches have slept for half a second.
    assert 0.35 < execution.waiting <= execution.seconds


def test_a_step_whose_batch_is_there(keras: Any) -> None:
    def heavy(keras: Any) -> Any:
        layers = keras.module.layers
        point = keras.module.Input((2,), name="point")
        hidden = layers.Dense(2048)(layers.Dense(2048)(point))
        model = keras.module.Model({"point": point}, layers.Dense(2)(hidden))
        model.compile("sgd", keras.module.losses.SparseCategoricalCrossentropy(from_logits=True))
        return model

    point = dataset(batches_of([256])).map(lambda inputs, label: ({"point": inputs["point"]}, label))
    engine = engine_of(keras, point.cache().repeat().prefetch(2), make_model=heavy)
    engine.train(1)
    # On a busy machine who prepares the next batch may be held up, but not every time.
    shares = (execution.waiting / execution.seconds for execution in (engine.train(10) for _ in range(10)))
    assert any(0 <= share < 0.3 for share in shares)


def test_a_step_begins_when_the_moment_at_which_its_batch_is_there_has_been_noted(keras: Any) -> None:
    """On one core it was over before: the whole step counted as waiting for its batch."""
    import tensorflow as tf

    engine = engine_of(keras, dataset(batches_of([4])))
    train = engine._train.get_concrete_function(engine._training, tf.constant(1, tf.int64))
    functions = train.graph.as_graph_def().library.function
    (body,) = (nodes for nodes in ({n.name: n for n in f.node_def} for f in functions) if _timestamps(nodes))
    (step,) = (node for node in body.values() if "one_step" in node.attr["f"].func.name)
    assert _timestamps(body) & {name.removeprefix("^") for name in step.input if name.startswith("^")}


def _timestamps(nodes: dict[str, Any]) -> set[str]:
    return {name for name, node in nodes.items() if node.op == "Timestamp"}


def test_a_train_step_of_the_users_is_taken(keras: Any) -> None:
    import tensorflow as tf

    class Counts(keras.module.Model):  # type: ignore[misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

        def train_step(self, data: Any) -> dict[str, Any]:
            self.seen.assign_add(tf.cast(tf.shape(data[1])[0], tf.float32))
            return {"mine": self.seen.value}

    engine = engine_of(keras, dataset(batches_of([4, 3, 2])), make_model=lambda keras: model_of(keras, kind=Counts))
    weights = [weight.numpy() for weight in engine._model.trainable_weights]
    assert engine.train(3).bad_step is None
    assert float(engine._model.seen.numpy()) == 9.0
    assert all(
        np.array_equal(old, new.numpy()) for old, new in zip(weights, engine._model.trainable_weights, strict=True)
    )


def test_the_size_of_an_exchange(mirrored: dict[str, Any]) -> None:
    """Dense: 6 floats. Sparse: 14 floats, and the batch's 16 words as 4 floats and a number each."""
    sizes = [size for size, _ in mirrored["exchange"]]
    assert sizes == [6 * 4, 14 * 4 + 16 * 5 * 4, 14 * 4 + 16 * 5 * 4]
    assert all(0 <= seconds < 1 for _, seconds in mirrored["exchange"])


def test_sparse_gradients_may_vary_in_size(mirrored: dict[str, Any]) -> None:
    # Of the first case, two passes: 2 x (8 + 8 + 8 + 8 + 3 + 3) rows.
    assert mirrored["varying"] == {"rows": [6.0, 76.0], "words": [6.0, 96.0], "no_words": [6.0, 96.0]}


def test_a_call_takes_steps_whose_sparse_gradients_are_of_one_shape(mirrored: dict[str, Any]) -> None:
    assert mirrored["calls"] == {
        "dense": [1, 11],
        "fixed": [1, 3, 1, 4, 1, 2],
        "any_length": [1] * 12,
        "subclassed": [1] * 12,
    }


def test_the_bad_step_of_several_calls(mirrored: dict[str, Any]) -> None:
    assert mirrored["bad_step"] == 5


def test_a_replica_that_runs_out_of_rows(mirrored: dict[str, Any]) -> None:
    assert mirrored["evaluated"]["rows"] == 11.0


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda keras: model_of(keras, words=3, sparse=True), True),
        (lambda keras: model_of(keras, sparse=True), False),
        (lambda keras: nested(keras, words=3), True),
        (lambda keras: nested(keras, words=None), False),
        (lambda keras: keras.module.Model(), False),
    ],
)
def test_whether_a_models_shapes_follow_the_batch(keras: Any, make: Any, expected: object) -> None:
    from penstock.components.trainer.gradients import rows_follow_batches

    assert rows_follow_batches(make(keras)) is expected


def test_a_layer_of_the_users_tells_nothing_about_its_inside(keras: Any) -> None:
    from penstock.components.trainer.gradients import rows_follow_batches

    class Users(keras.module.layers.Dense):  # type: ignore[misc]
        pass

    inputs = keras.module.Input((2,))
    assert not rows_follow_batches(keras.module.Model(inputs, Users(2)(inputs)))


def nested(keras: Any, *, words: int | None) -> Any:
    """A model in a model whose output has a fixed shape."""
    module = keras.module
    inputs = module.Input((3,), dtype="int64")
    inner = model_of(keras, sparse=True, words=words)
    return module.Model(inputs, inner({"point": module.ops.cast(inputs[:, :2], "float32"), "words": inputs}))
