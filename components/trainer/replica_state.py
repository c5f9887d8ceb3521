"""State that each replica keeps for itself until it is read: moving statistics, the sums of metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import tensorflow as tf


def levelling(variables: Iterable[Any]) -> Callable[[], None]:
    """Return a function that levels such state: all replicas get the mean, or an equal share of a sum.

    That is what a restored checkpoint gives them. A training that is never interrupted has to level at the same steps,
    or the two differ in the last digits. All workers must call the function at the same time.

    Args:
        variables: TensorFlow's variables; those that replicas have in common anyway are left alone.
    """
    apart = [variable for variable in variables if _is_apart(variable)]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
    def level() -> None:
        for variable in apart:
            variable.assign(variable.value())

    return level if apart else lambda: None


def _is_apart(variable: Any) -> bool:
    # TensorFlow rounds the shares of a sum of integers down; it is better left where it is.
    copies = getattr(variable, "values", ())
    on_read = variable.synchronization == tf.VariableSynchronization.ON_READ
    return on_read and len(copies) > 0 and bool(variable.dtype.is_floating)
