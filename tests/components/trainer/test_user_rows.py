from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import pytest

from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.schedule import Passes
from penstock.components.trainer.sharding import BatchPlan
from penstock.errors import UserCodeError
from tests.components.trainer.replicas import Batches, flat, global_batches, workers_of


def users_rows(count: int, *, ragged: bool = False) -> Any:
    import tensorflow as tf

    rows = tf.data.Dataset.range(count)
    return rows.map(lambda n: ({"x": tf.fill([n % 3], n)} if ragged else tf.cast(n, tf.float32), n))


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_users_rows_follow_the_same_order_rules(cache: Literal["none", "memory"]) -> None:
    from penstock.components.trainer.input_pipeline import user_training_data

    def batches(plan: BatchPlan, start: int = 0) -> Batches:
        options = InputOptions(shuffle_buffer=10, cache=cache)
        passes = Passes(seed=1, epochs=2, start_step=start)
        dataset = user_training_data(partial(users_rows, 43), options, plan, passes, rows=43)
        pairs = [(inputs.numpy(), label.numpy()) for inputs, label in dataset]
        assert all(np.array_equal(inputs, label) for inputs, label in pairs)
        return [label.tolist() for _, label in pairs]

    alone = batches(BatchPlan(8))
    assert sorted(flat(alone[:6])) == sorted(flat(alone[6:])) == [*range(43)]
    assert alone[:6] != alone[6:]
    assert batches(BatchPlan(8), start=7) == alone[7:]
    plan = BatchPlan(4, replicas=2, workers=2, sharding="file")
    together = global_batches([batches(own) for own in workers_of(plan)], plan)
    assert together == [batch[: len(batch) // 2 * 2] for batch in alone]


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_users_rows_of_different_length_are_padded(cache: Literal["none", "memory"]) -> None:
    from penstock.components.trainer.input_pipeline import user_evaluation_data, user_training_data

    make, options = partial(users_rows, 5, ragged=True), InputOptions(shuffle_buffer=0, cache=cache)
    wanted = [[[0, 0], [1, 0], [2, 2]], [[0], [4]]]
    for dataset in (
        user_training_data(make, options, BatchPlan(3), Passes(seed=1, epochs=1), rows=5),
        user_evaluation_data(make, options, BatchPlan(3), rows=5),
    ):
        assert [inputs["x"].numpy().tolist() for inputs, _ in dataset] == wanted


def test_a_users_evaluation_is_shared_out_by_rows() -> None:
    from penstock.components.trainer.input_pipeline import user_evaluation_data

    plan = BatchPlan(2, replicas=2, workers=2, sharding="file")
    shares = [
        [
            label.numpy().tolist()
            for _, label in user_evaluation_data(partial(users_rows, 5), InputOptions(), own, rows=5)
        ]
        for own in workers_of(plan)
    ]
    assert shares == [[[0, 1], [4]], [[2, 3], []]]


def test_a_users_pass_that_is_shorter_than_counted() -> None:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import user_evaluation_data

    dataset = user_evaluation_data(partial(users_rows, 5), InputOptions(), BatchPlan(2), rows=6)
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 6 elements"):
        list(dataset)


def test_a_users_rows_that_cannot_be_batched() -> None:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import user_evaluation_data

    sparse = tf.data.Dataset.from_tensor_slices(tf.sparse.eye(3))
    with pytest.raises(UserCodeError) as caught:
        user_evaluation_data(lambda: sparse, InputOptions(), BatchPlan(2), rows=3)
    assert str(caught.value) == (
        "dataset_fn gives rows that cannot be batched\n"
        "  received: SparseTensorSpec(TensorShape([3]), tf.float32)\n"
        "  expected: tensors whose number of dimensions is known\n"
        "  next: densify sparse tensors, and call set_shape on what a py_function returns"
    )
