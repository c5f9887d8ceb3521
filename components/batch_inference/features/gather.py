"""Columns that are numbered → the vector that they make up, as tables have it: x_0, x_1, … for an input x."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TypeAlias

from penstock.serving.saved_model import TensorInfo

Source: TypeAlias = tuple[str, ...]
"""The column that feeds an input, or the columns of the values of its vector, in order."""

_NUMBERS = r"[_.]?[0-9]+(?:[_.][0-9]+)*|(?:\[[0-9]+\])+"
"""As in x_0, x.0, x0, x[0], and with more dimensions x_0_7, x[0][7]."""
_BEHIND = re.compile(_NUMBERS)
_NUMBERED = re.compile(rf"(.*?)({_NUMBERS})")


def sources_of(specs: Sequence[TensorInfo], columns: Sequence[str]) -> dict[str, Source]:
    """Return what feeds each input; inputs that nothing feeds are left out.

    A column of the input's name comes first, then columns of its name with numbers. A single vector that neither feeds
    takes the numbered columns of another name if there is one such row of columns only, of just its size.

    Args:
        specs: The inputs, with the batch as first dimension.
        columns: Names of the columns.
    """
    found = {spec.name: source for spec in specs if (source := _by_name(spec, columns))}
    missing = [spec for spec in specs if spec.name not in found]
    if len(missing) == 1:
        taken = {name for source in found.values() for name in source}
        others = _vectors(missing[0], [name for name in columns if name not in taken])
        if len(others) == 1:
            found[missing[0].name] = others[0]
    return found


def told_source(source: Source) -> str:
    """Return the columns in words."""
    if len(source) == 1:
        return f"column {source[0]!r}"
    return f"{len(source)} columns, {source[0]!r} to {source[-1]!r}"


def _by_name(spec: TensorInfo, columns: Sequence[str]) -> Source | None:
    if spec.name in columns:
        return (spec.name,)
    found = {name: name.removeprefix(spec.name) for name in columns if name.startswith(spec.name)}
    return _in_order(spec, {name: rest for name, rest in found.items() if _BEHIND.fullmatch(rest)})


def _vectors(spec: TensorInfo, columns: Sequence[str]) -> list[Source]:
    """Return all that would make up a vector of known size, whatever the columns are called before their numbers."""
    if spec.shape is None or None in spec.shape[1:]:
        return []
    families: dict[str, dict[str, str]] = {}
    for name in columns:
        if match := _NUMBERED.fullmatch(name):
            families.setdefault(match[1], {})[name] = match[2]
    return [source for family in families.values() if (source := _in_order(spec, family))]


def _in_order(spec: TensorInfo, numbered: Mapping[str, str]) -> Source | None:
    """Return columns in the order of their numbers, if these leave no gap and are as many as the vector has values.

    Args:
        spec: The vector.
        numbered: Column → its numbers, as they are written.
    """
    if not numbered or spec.shape is None or len(spec.shape) < 2:
        return None
    places = {tuple(map(int, re.findall("[0-9]+", text))): name for name, text in numbered.items()}
    inner = spec.shape[1:]
    if len(places) != len(numbered) or not _is_grid(list(places)):
        return None
    fits = len(inner) == 1 if None in inner else len(places) == math.prod(size or 0 for size in inner)
    return tuple(places[place] for place in sorted(places)) if fits else None


def _is_grid(places: Sequence[tuple[int, ...]]) -> bool:
    """Whether numbers are all combinations, each from 0 or each from 1 on."""
    if len({len(place) for place in places}) != 1:
        return False
    first, last = min(places), max(places)
    return first in ((0,) * len(first), (1,) * len(first)) and sorted(places) == list(
        product(*(range(low, high + 1) for low, high in zip(first, last, strict=True)))
    )
