"""Two workers that add to one variable, as Keras 3 writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def made(**kwargs: Any) -> Any:
    import tensorflow as tf

    from penstock.components.trainer.server_variables import add_up

    with tf.variable_creator_scope(add_up):
        return tf.Variable(**kwargs)


def total() -> Any:
    import tensorflow as tf

    return made(initial_value=5.0, trainable=False, aggregation=tf.VariableAggregation.SUM)


def counter() -> Any:
    import tensorflow as tf

    return made(initial_value=tf.constant(5, tf.int64), trainable=False)


def between(variable: Any, amount: int) -> None:
    """Add to a variable as another worker does."""
    import tensorflow as tf

    tf.raw_ops.AssignAddVariableOp(resource=variable.handle, value=tf.constant(amount, variable.dtype))


@pytest.mark.parametrize("make", [total, counter])
def test_what_another_worker_adds_meanwhile_is_kept(make: Callable[[], Any]) -> None:
    import tensorflow as tf

    variable = make()

    @tf.function
    def step() -> Any:
        new = variable + tf.constant(2, variable.dtype)
        between(variable, 10)
        variable.assign(new)
        after = tf.identity(variable)
        variable.assign(variable * tf.constant(2, variable.dtype))
        return after

    assert [float(step()) for _ in range(2)] == [17.0, 46.0]
    assert float(variable) == 92.0


def test_outside_of_steps_a_variable_is_assigned() -> None:
    variable = total()
    variable.assign(variable + 1.0)
    assert float(variable.read_value()) == 6.0
    variable.assign(0.0)
    assert float(variable) == 0.0


def test_weights_are_left_alone() -> None:
    import tensorflow as tf

    variable = made(initial_value=5.0)

    @tf.function
    def step() -> None:
        new = variable + 2.0
        between(variable, 10)
        variable.assign(new)

    step()
    assert float(variable) == 7.0
