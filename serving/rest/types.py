"""TensorFlow's types as JSON requests can carry them. TensorFlow itself is not needed to know them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from penstock.serving.inference.kinds import WRITTEN

NAMES = {number: kind.name for number, kind in WRITTEN.items()} | {20: "resource", 21: "variant"}
"""``DataType`` → the name that TensorFlow prints."""


@dataclass(frozen=True)
class Kind:
    """How a type is read from JSON.

    Attributes:
        name: The name that TensorFlow prints.
        dtype: The array's type.
        accepts: ``number``, ``integer``, ``string`` or ``bool``.
        low: Least integer that is accepted.
        high: Greatest integer that is accepted.
    """

    name: str
    dtype: np.dtype[Any]
    accepts: str
    low: int = 0
    high: int = 0


def _integer(name: str, read_as: str) -> Kind:
    limits = np.iinfo(read_as)
    return Kind(name, np.dtype(name), "integer", int(limits.min), int(limits.max))


_KINDS = {
    1: Kind("float", np.dtype(np.float32), "number"),
    2: Kind("double", np.dtype(np.float64), "number"),
    7: Kind("string", np.dtype(object), "string"),
    10: Kind("bool", np.dtype(np.bool_), "bool"),
    3: _integer("int32", "int32"),
    # The small integers are read as int32 and then cut to their size, as in TensorFlow Serving: 300 is 44 as uint8.
    4: _integer("uint8", "int32"),
    5: _integer("int16", "int32"),
    6: _integer("int8", "int32"),
    9: _integer("int64", "int64"),
    22: _integer("uint32", "uint32"),
    23: _integer("uint64", "uint64"),
}


def kind_of(data_type: int) -> Kind | None:
    """Return how a ``DataType`` is read; None for one that JSON cannot carry."""
    return _KINDS.get(data_type)
