"""Arrays of consecutive rows, put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array


def joined(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the named arrays of consecutive batches as one each."""
    return {name: concatenated([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def concatenated(arrays: Sequence[Array]) -> Array:
    """Return arrays as one; where rows have different shapes, as an array of objects that holds an array a row."""
    if len(arrays) == 1:
        return arrays[0]
    if len({(array.shape[1:], array.dtype) for array in arrays}) == 1:
        return np.concatenate(arrays)
    return objects([row for array in arrays for row in array])


def objects(rows: Sequence[Array]) -> Array:
    """Return an array of objects that holds an array a row."""
    found = np.empty(len(rows), dtype=object)
    for position, row in enumerate(rows):
        found[position] = row
    return found


def holds_arrays(array: Array) -> bool:
    """Whether an array holds an array a row, of shapes that may differ."""
    return array.dtype == object and len(array) > 0 and isinstance(array[0], np.ndarray)
