"""Geometry of the page's drawings: numbers in, coordinates in a drawing's own units out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from penstock.components.trainer.progress_text import number
from penstock.pipelines.report.layout import Layout

NODE_WIDTH, NODE_HEIGHT = 132, 46
_GAP_ALONG, _GAP_ACROSS, _MARGIN = 24, 14, 6
_WIDTH, _HEIGHT = 360, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 30
_TICKS = 4
_SAME = 1e-9
"""Values that differ by less than this share of them are one value to the eye."""
Direction = Literal["across", "down"]


@dataclass(frozen=True)
class Drawing:
    """A graph that is drawn.

    Attributes:
        direction: ``across``: from left to right, for wide screens; ``down``: from top to bottom, for narrow ones.
        width: Of the drawing, in its own units, which are pixels at full size; so is ``height``.
        nodes: Node → left and top edge of its box.
        arrows: One path of an SVG an arrow.
    """

    direction: Direction
    width: float
    height: float
    nodes: Mapping[str, tuple[float, float]]
    arrows: tuple[str, ...]


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what stands there."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """One series of a chart.

    Attributes:
        name: What it is.
        kind: ``a`` or ``b``: its colour and dash.
        path: Of the SVG; gaps where a value is not finite.
        points: Where the values are, with the text of each.
    """

    name: str
    kind: str
    path: str
    points: tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class Chart:
    """Lines over a common pair of axes; x and y of ticks and points in a drawing of ``width`` by ``height``.

    ``level`` is where a line across it is, None without one.
    """

    title: str
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    level: float | None = None
    width: int = _WIDTH
    height: int = _HEIGHT
    left: int = _LEFT
    right: int = _WIDTH - _RIGHT
    top: int = _TOP
    bottom: int = _HEIGHT - _BOTTOM


def draw(layout: Layout, direction: Direction) -> Drawing:
    """Return the coordinates of a graph's boxes and arrows."""
    along_size, across_size = (NODE_WIDTH, NODE_HEIGHT) if direction == "across" else (NODE_HEIGHT, NODE_WIDTH)
    along_pitch, across_pitch = along_size + _GAP_ALONG, across_size + _GAP_ACROSS
    middle = _MARGIN + across_size / 2 + max(0, layout.breadth - 1) / 2 * across_pitch

    def point(level: float, place: float, end: float) -> tuple[float, float]:
        """Return where a level begins (``end`` 0) or ends (1), in the middle of a place."""
        along, across = _MARGIN + level * along_pitch + end * along_size, middle + place * across_pitch
        return (along, across) if direction == "across" else (across, along)

    def path(source: str, target: str, bends: Sequence[tuple[int, float]]) -> str:
        places = [layout.places[source], *bends, layout.places[target]]
        way = [point(*places[0], 1)]
        for bend in bends:
            way += [point(*bend, 0), point(*bend, 1)]
        way.append(point(*places[-1], 0))
        return _path(way, direction)

    along = 2 * _MARGIN + layout.levels * along_size + max(0, layout.levels - 1) * _GAP_ALONG
    across = 2 * _MARGIN + layout.breadth * across_size + max(0, layout.breadth - 1) * _GAP_ACROSS
    size = (along, across) if direction == "across" else (across, along)
    half = across_size / 2
    nodes = {}
    for name, place in layout.places.items():
        x, y = point(*place, 0)
        nodes[name] = (x, y - half) if direction == "across" else (x - half, y)
    return Drawing(direction, *size, nodes, tuple(path(*arrow) for arrow in layout.arrows))


def _path(way: Sequence[tuple[float, float]], direction: Direction) -> str:
    """Return a path that leaves and enters each place along the graph's direction."""
    parts = [f"M{_c(way[0][0])} {_c(way[0][1])}"]
    for place, (before, after) in enumerate(itertools.pairwise(way)):
        if place % 2:
            parts.append(f"L{_c(after[0])} {_c(after[1])}")
            continue
        (x0, y0), (x1, y1) = before, after
        half = ((x1 - x0) / 2, 0.0) if direction == "across" else (0.0, (y1 - y0) / 2)
        parts.append(f"C{_c(x0 + half[0])} {_c(y0 + half[1])} {_c(x1 - half[0])} {_c(y1 - half[1])} {_c(x1)} {_c(y1)}")
    return "".join(parts)


def chart(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    x_title: str,
    logarithmic: bool = False,
    level: float | None = None,
) -> Chart | None:
    """Return a chart of some series, None where there is no finite value.

    Args:
        title: What is on the y axis.
        series: Name → x and y of each point; two at most have a look of their own.
        x_title: What is on the x axis.
        logarithmic: The x axis is, and need not have whole numbers.
        level: A value of y that has a line of its own.
    """
    points = [(x, y) for found in series.values() for x, y in found if math.isfinite(x) and math.isfinite(y)]
    if not points:
        return None
    axes = _Axes(points, logarithmic=logarithmic, level=level)
    return Chart(
        title=title,
        x_title=x_title,
        x_ticks=tuple(Tick(_r(axes.across(x)), number(x)) for x in axes.x_ticks()),
        y_ticks=tuple(Tick(_r(axes.up(y)), number(y)) for y in ticks(*axes.y_span)),
        lines=tuple(_line(name, "ab"[place % 2], found, axes) for place, (name, found) in enumerate(series.items())),
        level=_r(axes.up(level)) if level is not None else None,
    )


class _Axes:
    """Where values are in a chart.

    Args:
        points: What must be seen, finite.
        logarithmic: The x axis is.
        level: Must be seen as well.
    """

    def __init__(self, points: Sequence[tuple[float, float]], *, logarithmic: bool, level: float | None) -> None:
        self._logarithmic = logarithmic
        self._x_span = _span([self._scaled(x) for x, _ in points], 0.08 if logarithmic else 0.0)
        self.y_span = _span([*(y for _, y in points), *([level] if level is not None else [])], 0.06)

    def across(self, x: float) -> float:
        low, high = self._x_span
        return _LEFT + (self._scaled(x) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def up(self, y: float) -> float:
        low, high = self.y_span
        return _HEIGHT - _BOTTOM - (y - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    def x_ticks(self) -> list[float]:
        low, high = self._x_span
        if not self._logarithmic:
            return ticks(low, high, whole=True)
        powers = range(math.floor(low), math.ceil(high) + 1)
        round_numbers = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
        return [one for one in round_numbers if low <= math.log10(one) <= high]

    def _scaled(self, x: float) -> float:
        return math.log10(x) if self._logarithmic else x


def _line(name: str, kind: str, found: Sequence[tuple[float, float]], axes: _Axes) -> Line:
    path, points, pen = [], [], "M"
    for x, y in found:
        if not math.isfinite(y):
            pen = "M"
            continue
        left, top = axes.across(x), axes.up(y)
        path.append(f"{pen}{_c(left)} {_c(top)}")
        points.append((_r(left), _r(top), f"{name}, {number(x)}: {number(y)}"))
        pen = "L"
    return Line(name, kind, "".join(path), tuple(points))


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Return round numbers between two, a handful."""
    step = _round_step((high - low) / _TICKS)
    if whole:
        step = max(1.0, math.ceil(step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough * 0.999)


def _span(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low <= _SAME * max(abs(low), abs(high), 1e-300):
        spread = abs(low) * 0.02 or 0.5
        return low - spread, high + spread
    return low - margin * (high - low), high + margin * (high - low)


def bars(counts: Sequence[float], width: int = 96, height: int = 26) -> tuple[tuple[float, float, float, float], ...]:
    """Return a histogram's bars: left, top, width and height of each; a bar with any rows is at least a line."""
    top = max(counts, default=0)
    if not top:
        return ()
    pitch = width / len(counts)
    sizes = [max(1.0, count / top * height) if count else 0.0 for count in counts]
    return tuple(
        (round(place * pitch, 2), round(height - size, 2), round(max(pitch - 1, pitch * 0.8), 2), round(size, 2))
        for place, size in enumerate(sizes)
        if size
    )


def beside(points: Sequence[tuple[float, float]], room: float = 96, line: float = 12) -> list[float]:
    """Return how high the text beside each of some points stands, so that none covers another.

    Args:
        points: Where they are.
        room: How broad a text is at most.
        line: How high it is.
    """
    heights: dict[int, float] = {}
    for place in sorted(range(len(points)), key=lambda place: (-points[place][1], points[place][0])):
        x, y = points[place]
        near = [heights[one] for one in heights if abs(points[one][0] - x) < room]
        while any(abs(y - other) < line for other in near):
            y -= 1
        heights[place] = y
    return [heights[place] for place in range(len(points))]


def _r(value: float) -> float:
    return round(value, 1)


def _c(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
