"""Places the nodes of a graph in levels, so that every arrow points one way and few of them cross."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

_SWEEPS = 4
"""Passes over the levels in which each node moves to the middle of its neighbours; more changed nothing."""


class Bend(NamedTuple):
    """A place that an arrow over several levels passes through."""

    source: str
    target: str
    level: int


_Slot = str | Bend


@dataclass(frozen=True)
class Layout:
    """A graph in levels.

    Attributes:
        places: Node → its level, from 0, and its place across it; 0 is the middle, places are 1 apart.
        arrows: Source, target, and the places between them that the arrow passes through, in levels as well.
        levels: How many.
        breadth: Places of the broadest level, a count.
    """

    places: Mapping[str, tuple[int, float]]
    arrows: tuple[tuple[str, str, tuple[tuple[int, float], ...]], ...]
    levels: int
    breadth: int


def lay_out(sources: Mapping[str, Sequence[str]]) -> Layout:
    """Return where the nodes of a graph go.

    Args:
        sources: Node → the nodes that arrows come from; names that are no nodes are left out, and so is what closes a
            circle. An arrow that a longer way says already is not drawn.
    """
    direct = _without_implied(_without_circles(sources))
    level = _levels(direct)
    slots = _slots(direct, level)
    neighbours = _neighbours(direct, level)
    for sweep in range(_SWEEPS):
        for row in slots if sweep % 2 == 0 else reversed(slots):
            _settle(row, slots, neighbours)
    across = {slot: place - (len(row) - 1) / 2 for row in slots for place, slot in enumerate(row)}
    return Layout(
        places={name: (level[name], across[name]) for name in direct},
        arrows=tuple(
            (source, target, tuple((bend.level, across[bend]) for bend in _bends(source, target, level)))
            for target, found in direct.items()
            for source in found
        ),
        levels=len(slots),
        breadth=max(map(len, slots), default=0),
    )


def _without_circles(sources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the graph in an order in which every node comes after its sources."""
    ordered: dict[str, list[str]] = {}
    waiting = {
        name: [one for one in dict.fromkeys(found) if one in sources and one != name] for name, found in sources.items()
    }
    while waiting:
        ready = [name for name, found in waiting.items() if all(one in ordered for one in found)]
        name = ready[0] if ready else next(iter(waiting))
        ordered[name] = [one for one in waiting.pop(name) if one in ordered]
    return ordered


def _without_implied(sources: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    above: dict[str, set[str]] = {}
    for name, found in sources.items():
        above[name] = set(found).union(*(above[one] for one in found))
    return {
        name: [one for one in found if not any(one in above[other] for other in found)]
        for name, found in sources.items()
    }


def _levels(sources: Mapping[str, Sequence[str]]) -> dict[str, int]:
    level: dict[str, int] = {}
    for name, found in sources.items():
        level[name] = max((level[one] + 1 for one in found), default=0)
    return level


def _bends(source: str, target: str, level: Mapping[str, int]) -> list[Bend]:
    return [Bend(source, target, between) for between in range(level[source] + 1, level[target])]


def _slots(sources: Mapping[str, Sequence[str]], level: Mapping[str, int]) -> list[list[_Slot]]:
    rows: list[list[_Slot]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for name, found in sources.items():
        rows[level[name]].append(name)
        for source in found:
            for bend in _bends(source, name, level):
                rows[bend.level].append(bend)
    return rows


def _neighbours(sources: Mapping[str, Sequence[str]], level: Mapping[str, int]) -> dict[_Slot, list[_Slot]]:
    found: dict[_Slot, list[_Slot]] = {}
    for target, ones in sources.items():
        for source in ones:
            way: list[_Slot] = [source, *_bends(source, target, level), target]
            for one, other in itertools.pairwise(way):
                found.setdefault(one, []).append(other)
                found.setdefault(other, []).append(one)
    return found


def _settle(row: list[_Slot], rows: Sequence[Sequence[_Slot]], neighbours: Mapping[_Slot, Sequence[_Slot]]) -> None:
    """Order a level by the middle of each node's neighbours; nodes without any keep their place."""
    across = {slot: place - (len(each) - 1) / 2 for each in rows for place, slot in enumerate(each)}

    def middle(slot: _Slot) -> float:
        beside = neighbours.get(slot)
        return sum(across[one] for one in beside) / len(beside) if beside else across[slot]

    row.sort(key=middle)
