"""A picture of a conversion: how small each mode is against how good it is, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from penstock.components.tflite_converter.result import Conversion, ModeResult
from penstock.components.tflite_converter.words import bytes_text

_WIDTH, _HEIGHT = 760, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 40, 64, 96
_BLESSED, _NOT_BLESSED, _INK, _FAINT = "#1a7f5a", "#c0392b", "#222222", "#d9d9d9"
_LABEL_WIDTH, _LABEL_HEIGHT = 118, 30
_LEVELS = (1, -1, 2, -2, 3, -3, 4, -4)
"""Where a label may stand: so many heights above its point, or below."""


@dataclass(frozen=True)
class _Point:
    """One mode in the picture's own units."""

    result: ModeResult
    x: float
    y: float


@dataclass(frozen=True)
class _Axis:
    """A range of values on a stretch of pixels.

    Args:
        low: Value at ``start``.
        high: Value at ``end``.
        start: Pixel of ``low``.
        end: Pixel of ``high``.
        log: Equal ratios, not equal differences, are equal distances.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def plot(conversion: Conversion) -> str:
    """Return an SVG: size on a logarithmic axis against the metric, or the largest error where there is no metric.

    Blessed modes are filled, others hollow; the SavedModel's own metric is a dashed line.
    """
    picture = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {_HEIGHT}")
    picture.set("font-family", "Helvetica, Arial, sans-serif")
    ET.SubElement(picture, "rect", width=str(_WIDTH), height=str(_HEIGHT), fill="white")
    name = conversion.metric or "largest error"
    _text(picture, _LEFT, 30, f"Size against {name}", size=18, weight="bold")
    _text(picture, _LEFT, 50, _context(conversion), size=12, color="#666666")
    measured = [each for each in conversion.results if _value(each, conversion) is not None]
    if measured:
        _chart(picture, conversion, measured, name)
    _legend(picture, conversion, [each.mode for each in conversion.results if each not in measured])
    ET.indent(picture)
    return ET.tostring(picture, encoding="unicode") + "\n"


def _context(conversion: Conversion) -> str:
    about = f"{conversion.rows} rows, batch {conversion.batch or 'dynamic'}, signature {conversion.signatures[0]}"
    return about if conversion.baseline is None else f"{about}; dashed: the SavedModel, {conversion.baseline:.4f}"


def _value(result: ModeResult, conversion: Conversion) -> float | None:
    comparison = result.figures.comparison if result.figures else None
    value = None if comparison is None else comparison.metric if conversion.metric else comparison.max_abs_error
    return value if value is not None and math.isfinite(value) else None


def _size(result: ModeResult) -> int:
    return result.figures.inspection.size if result.figures else 1


def _chart(picture: ET.Element, conversion: Conversion, measured: list[ModeResult], name: str) -> None:
    values = [value for each in measured if (value := _value(each, conversion)) is not None]
    base = [] if conversion.baseline is None else [conversion.baseline]
    sizes = [_size(each) for each in measured]
    x = _Axis(min(sizes) / 1.5, max(sizes) * 1.5, _LEFT, _WIDTH - _RIGHT, log=True)
    spread = max((max(values + base) - min(values + base)) * 0.35, 0.002 * max(map(abs, values + base)), 1e-9)
    y = _Axis(min(values + base) - spread, max(values + base) + spread, _HEIGHT - _BOTTOM, _TOP)
    for size in _log_ticks(x.low, x.high):
        _line(picture, (x.at(size), y.start), (x.at(size), y.end), _FAINT)
        _text(picture, x.at(size), y.start + 18, bytes_text(size), anchor="middle", size=12)
    for value in _ticks(y.low, y.high):
        _line(picture, (x.start, y.at(value)), (x.end, y.at(value)), _FAINT)
        _text(picture, x.start - 8, y.at(value) + 4, f"{value:.6g}", anchor="end", size=12)
    _text(picture, (x.start + x.end) / 2, y.start + 40, "size of the file (logarithmic)", anchor="middle", size=12)
    _text(picture, x.start - 8, y.end - 8, name, anchor="end", size=12)
    for value in base:
        _line(picture, (x.start, y.at(value)), (x.end, y.at(value)), _INK, dash="6 4")
    points = [_Point(each, x.at(_size(each)), y.at(value)) for each, value in zip(measured, values, strict=True)]
    _points(picture, points)


def _points(picture: ET.Element, points: list[_Point]) -> None:
    taken = [_box(point.x, point.y, 14, 14) for point in points]
    for point in points:
        label_y = _free_level(point, taken)
        taken.append(_box(point.x, label_y, _LABEL_WIDTH, _LABEL_HEIGHT))
        color = _BLESSED if point.result.verdict.blessed else _NOT_BLESSED
        if abs(label_y - point.y) > 1.5 * _LABEL_HEIGHT:
            _line(picture, (point.x, point.y), (point.x, label_y), "#999999")
        box = ET.SubElement(picture, "rect", fill="white", x=f"{point.x - 50:.1f}", y=f"{label_y - 14:.1f}")
        box.attrib |= {"width": "100", "height": "28", "fill-opacity": "0.85"}
        _text(picture, point.x, label_y - 2, point.result.mode, anchor="middle", weight="bold", color=color)
        _text(picture, point.x, label_y + 11, _detail(point.result), anchor="middle", size=11)
    for point in points:
        color = _BLESSED if point.result.verdict.blessed else _NOT_BLESSED
        dot = ET.SubElement(picture, "circle", cx=f"{point.x:.1f}", cy=f"{point.y:.1f}", r="6", stroke=color)
        dot.attrib |= {"fill": color if point.result.verdict.blessed else "white", "stroke-width": "2"}


def _free_level(point: _Point, taken: list[tuple[float, float, float, float]]) -> float:
    """Return where a label overlaps nothing that is there, or where it overlaps least far from its point."""
    places = [point.y - level * (_LABEL_HEIGHT + 4) for level in _LEVELS]
    inside = [place for place in places if _TOP < place < _HEIGHT - _BOTTOM]
    for place in inside:
        box = _box(point.x, place, _LABEL_WIDTH, _LABEL_HEIGHT)
        if not any(_overlap(box, other) for other in taken):
            return place
    return (inside or places)[0]


def _box(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _detail(result: ModeResult) -> str:
    figures = result.figures
    timing = f", {figures.timings[0].latency.p50:.0f} µs" if figures and figures.timings else ""
    return f"{bytes_text(_size(result))}{timing}"


def _legend(picture: ET.Element, conversion: Conversion, left_out: list[str]) -> None:
    y = _HEIGHT - 20
    for x, color, fill, text in (
        (_LEFT, _BLESSED, _BLESSED, "blessed"),
        (_LEFT + 90, _NOT_BLESSED, "white", "not blessed"),
    ):
        ET.SubElement(picture, "circle", cx=str(x), cy=str(y - 4), r="5", stroke=color, fill=fill)
        _text(picture, x + 12, y, text, size=12)
    unit = f"times: one call of {conversion.batch or 1} row{'' if (conversion.batch or 1) == 1 else 's'}, median"
    missing = f"; not measured: {', '.join(left_out)}" if left_out else ""
    _text(picture, _LEFT + 200, y, unit + missing, size=12, color="#666666")


def _log_ticks(low: float, high: float) -> Iterator[float]:
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        yield from (size for digit in (1, 2, 5) if low <= (size := digit * 10.0**exponent) <= high)


def _ticks(low: float, high: float) -> Iterable[float]:
    rough = (high - low) / 5
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    return (number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1))


def _line(
    picture: ET.Element, start: tuple[float, float], end: tuple[float, float], color: str, dash: str | None = None
) -> None:
    line = ET.SubElement(picture, "line", stroke=color)
    line.attrib |= {"x1": f"{start[0]:.1f}", "y1": f"{start[1]:.1f}", "x2": f"{end[0]:.1f}", "y2": f"{end[1]:.1f}"}
    if dash:
        line.set("stroke-dasharray", dash)


def _text(
    picture: ET.Element, x: float, y: float, text: str, *, size: int = 13, color: str = _INK, **more: str
) -> None:
    element = ET.SubElement(picture, "text", x=f"{x:.1f}", y=f"{y:.1f}", fill=color)
    element.attrib |= {"font-size": str(size), "text-anchor": more.get("anchor", "start")}
    if "weight" in more:
        element.set("font-weight", more["weight"])
    element.text = text
