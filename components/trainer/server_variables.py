"""Variables on parameter servers that several workers add to at the same time.

Keras 3 writes ``total.assign(total + x)`` where ``total.assign_add(x)`` is meant. What another worker adds between its
reading and its writing would be lost: training metrics, and the optimizer's number of steps.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def add_up(next_creator: Any, **kwargs: Any) -> Any:
    """Make a variable; if it is a sum or a counter, so that steps add what is new to it. A variable creator."""
    variable = next_creator(**kwargs)
    counts = variable.dtype == tf.int64 and not kwargs.get("trainable", True)
    sums = kwargs.get("aggregation") == tf.VariableAggregation.SUM
    if isinstance(variable, tf.Variable) and (sums or counts):
        # What the strategy wraps a variable in reads and writes by the methods of what is inside.
        _AddsUp(variable.get() if hasattr(variable, "get") else variable)
    return variable


class _AddsUp:
    """Turns a variable's assignments inside a step into additions of the difference to what the step has read.

    Args:
        variable: The variable; its methods ``value``, ``read_value`` and ``assign`` are replaced.
    """

    def __init__(self, variable: Any) -> None:
        self._read, self._assign, self._assign_add = variable.value, variable.assign, variable.assign_add
        self._graph: Any = None
        self._before: Any = None
        variable.value = variable.read_value = self.value
        variable.assign = self.assign

    def value(self) -> Any:
        """Return the value; inside a step the same until it is assigned, so that the difference is what was added."""
        if tf.executing_eagerly():
            return self._read()
        graph = tf.compat.v1.get_default_graph()
        if self._graph is not graph:
            self._graph, self._before = graph, self._read()
        return self._before

    def assign(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        """Assign outside of steps, as a reset does; add inside."""
        if tf.executing_eagerly():
            return self._assign(value, *args, **kwargs)
        before = self.value()
        self._graph = self._before = None
        return self._assign_add(value - before, *args, **kwargs)
