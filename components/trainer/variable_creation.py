"""How replicas agree on a model's variables that are not trained: moving statistics, seeds, metrics.

tf_keras says for each variable how; Keras 3 leaves much to TensorFlow's defaults, which do not fit all strategies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import tensorflow as tf

from penstock.components.trainer.server_variables import add_up


@contextmanager
def layer_variables(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Make the variables of layers, and of metrics, inside the block so that replicas agree on them."""
    with metric_variables(strategy), ExitStack() as scopes:
        if strategy.num_replicas_in_sync > 1:
            scopes.enter_context(tf.variable_creator_scope(_agree_on_state))
        yield


@contextmanager
def metric_variables(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Make the variables of metrics inside the block so that they add up what all replicas, or workers, add."""
    with ExitStack() as scopes:
        if _is_central(strategy):
            scopes.enter_context(tf.variable_creator_scope(_take_turns))
        elif isinstance(strategy, tf.distribute.ParameterServerStrategy):
            scopes.enter_context(tf.variable_creator_scope(add_up))
        yield


def _agree_on_state(next_creator: Any, **kwargs: Any) -> Any:
    """Take the mean of the replicas' floats; of other types, the first replica's where there is one copy only.

    Without it TensorFlow refuses to update moving statistics inside a replica, and under central storage seeds as well.
    """
    undecided = kwargs.get("aggregation") in (None, tf.VariableAggregation.NONE)
    if undecided and not kwargs.get("trainable", True):
        if tf.as_dtype(kwargs.get("dtype") or tf.float32).is_floating:
            kwargs["aggregation"] = tf.VariableAggregation.MEAN
            kwargs["synchronization"] = tf.VariableSynchronization.ON_READ
        elif _is_central(tf.distribute.get_strategy()):
            kwargs["aggregation"] = tf.VariableAggregation.ONLY_FIRST_REPLICA
    return next_creator(**kwargs)


def _take_turns(next_creator: Any, **kwargs: Any) -> Any:
    """Let replicas update the one copy in turn, in place of summing what all assign and assigning the sum.

    Keras 3 writes ``total.assign(total + x)`` where ``total.assign_add(x)`` is meant: the sum over replicas would count
    ``total`` itself once a replica, so that it doubles with each step. Besides, TensorFlow sums over replicas only
    where they can wait for each other, which is not inside a ``tf.cond``.
    """
    variable = next_creator(**kwargs)
    if kwargs.get("aggregation") == tf.VariableAggregation.SUM:
        for method in ("assign", "assign_add", "assign_sub"):
            setattr(variable, method, _in_turn(variable, method))
    return variable


def _in_turn(variable: Any, method: str) -> Callable[..., Any]:
    in_step, outside = getattr(variable.get(), method), getattr(variable, method)

    def update(*args: Any, **kwargs: Any) -> Any:
        return (outside if tf.distribute.in_cross_replica_context() else in_step)(*args, **kwargs)

    return update


def _is_central(strategy: tf.distribute.Strategy) -> bool:
    return isinstance(strategy, tf.distribute.experimental.CentralStorageStrategy) and strategy.num_replicas_in_sync > 1
