"""The picture: every mode where it belongs, every label where it can be read."""

import itertools
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from penstock.components.tflite_converter.config import MODES
from penstock.components.tflite_converter.plot import plot
from penstock.components.tflite_converter.result import Comparison, ModeResult, Verdict
from tests.components.tflite_converter.made import BLESSED, FLOAT32, INT8, REFUSED, conversion, figures, inspection

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawn):
    return ET.fromstring(plot(drawn))


def texts(picture):
    return [element.text for element in picture.iter(f"{SVG}text")]


def dots(picture):
    """Return the points as (x, y, filled)."""
    return [
        (float(dot.get("cx")), float(dot.get("cy")), dot.get("fill") != "white")
        for dot in picture.iter(f"{SVG}circle")
        if dot.get("r") == "6"
    ]


def test_size_goes_to_the_right_and_quality_up():
    float32, int8 = dots(parsed(conversion(FLOAT32, INT8)))
    assert int8[0] < float32[0]
    assert int8[1] > float32[1]  # The origin is at the top.
    assert (float32[2], int8[2]) == (False, True)


def test_it_says_what_is_what():
    found = texts(parsed(conversion(FLOAT32, INT8, REFUSED)))
    about = "360 rows, batch 1, signature predict; dashed: the SavedModel, 0.9667"
    assert found[:2] == ["Size against accuracy", about]
    assert {"float32", "1.095 MB, 15 µs", "int8", "200 kB, 15 µs"} <= set(found)
    assert found[-3:] == ["blessed", "not blessed", "times: one call of 1 row, median; not measured: int16x8"]
    assert {"200 kB", "500 kB", "1 MB"} <= set(found)


def test_the_axis_is_logarithmic():
    sizes = (100_000, 1_000_000, 10_000_000)
    modes = [replace(INT8, figures=figures(inspection=inspection(size))) for size in sizes]
    (x0, *_), (x1, *_), (x2, *_) = dots(parsed(conversion(*modes)))
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)


def test_labels_of_modes_that_are_close_do_not_overlap():
    close = [
        ModeResult(mode, BLESSED, figures(inspection=inspection(size)))
        for mode, size in zip(MODES[1:], (286_600, 310_000, 293_600, 300_800), strict=True)
    ]
    labels = [
        (float(box.get("x")), float(box.get("y")))
        for box in parsed(conversion(*close)).iter(f"{SVG}rect")
        if box.get("fill-opacity")
    ]
    assert len(labels) == 4
    for one, other in itertools.combinations(labels, 2):
        assert abs(one[0] - other[0]) >= 100 or abs(one[1] - other[1]) >= 28


def test_equal_values_and_a_single_mode_have_a_picture():
    for metric in (0.0, 0.9639):
        single = replace(INT8, figures=figures(comparison=Comparison(0.0, 0.0, 0, metric)))
        ((x, y, _),) = dots(parsed(conversion(single, baseline=metric)))
        assert 84 < x < 720
        assert 64 < y < 364


def test_without_a_metric_the_error_is_drawn():
    picture = parsed(conversion(INT8, metric=None, baseline=None, batch=None))
    assert texts(picture)[0] == "Size against largest error"
    assert len(dots(picture)) == 1


def test_nothing_measured_is_a_picture_without_points():
    bare = ModeResult("int8", Verdict(blessed=False, reason="not run"), figures(comparison=None, timings=()))
    picture = parsed(conversion(bare, REFUSED))
    assert dots(picture) == []
    assert texts(picture)[-1] == "times: one call of 1 row, median; not measured: int8, int16x8"
