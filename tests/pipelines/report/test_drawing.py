"""Where boxes, arrows, lines and bars go."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.pipelines.report.charts import NODE_HEIGHT, NODE_WIDTH, bars, beside, chart, draw, ticks
from penstock.pipelines.report.layout import lay_out

DIGITS = {
    "examples": [],
    "statistics": ["examples"],
    "schema": ["statistics"],
    "validator": ["statistics", "schema"],
    "transform": ["examples", "schema"],
    "trainer": ["transform", "examples"],
    "evaluator": ["trainer", "examples"],
    "pusher": ["trainer", "evaluator"],
}


def test_levels_follow_the_longest_way_and_implied_arrows_are_left_out():
    layout = lay_out(DIGITS)
    assert {name: level for name, (level, _) in layout.places.items()} == {
        "examples": 0, "statistics": 1, "schema": 2, "validator": 3, "transform": 3, "trainer": 4, "evaluator": 5,
        "pusher": 6,
    }  # fmt: skip
    assert [(source, target) for source, target, _ in layout.arrows] == [
        ("examples", "statistics"),
        ("statistics", "schema"),
        ("schema", "validator"),
        ("schema", "transform"),
        ("transform", "trainer"),
        ("trainer", "evaluator"),
        ("evaluator", "pusher"),
    ]


def test_an_arrow_over_levels_passes_beside_what_is_between():
    layout = lay_out({"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "x": [], "e": ["d", "x"]})
    ((_, _, bends),) = [arrow for arrow in layout.arrows if arrow[0] == "x"]
    assert [level for level, _ in bends] == [1, 2, 3]
    assert all((level, place) not in layout.places.values() for level, place in bends)


def test_siblings_are_ordered_by_their_sources():
    layout = lay_out({"a": [], "b": [], "of b": ["b"], "of a": ["a"]})
    assert (layout.places["a"][1] < layout.places["b"][1]) == (layout.places["of a"][1] < layout.places["of b"][1])


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.lists(st.sampled_from("abcdefghxy"), max_size=5)))
def test_any_graph_has_a_place_for_each_node_and_no_two_in_one(sources):
    layout = lay_out(sources)
    assert layout.places.keys() == sources.keys()
    assert len(set(layout.places.values())) == len(sources)
    for source, target, _ in layout.arrows:
        assert layout.places[source][0] < layout.places[target][0]
        assert source in sources[target]
    for direction in ("across", "down"):
        drawing = draw(layout, direction)
        for x, y in drawing.nodes.values():
            assert 0 <= x <= drawing.width - NODE_WIDTH
            assert 0 <= y <= drawing.height - NODE_HEIGHT


def test_a_graph_without_nodes():
    assert lay_out({}).levels == 0


@pytest.mark.parametrize(
    ("low", "high", "whole", "expected"),
    [
        (0, 1, False, [0, 0.25, 0.5, 0.75, 1]),
        (0.893, 0.98, False, [0.9, 0.925, 0.95, 0.975]),
        (1, 5, True, [1, 2, 3, 4, 5]),
        (1, 100, True, [25, 50, 75, 100]),
        (-0.2, 0.7, False, [0, 0.25, 0.5]),
    ],
)
def test_ticks(low, high, whole, expected):
    assert ticks(low, high, whole=whole) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e9))
def test_ticks_are_few_and_inside(low, span):
    found = ticks(low, low + span)
    assert len(found) <= 7
    assert all(low - span * 0.01 <= tick <= low + span * 1.01 for tick in found)


def test_a_chart_has_a_gap_where_a_value_is_not_finite():
    drawn = chart("loss", {"training": [(1, 1.0), (2, math.nan), (3, 0.5)]}, x_title="epoch")
    assert drawn is not None
    assert drawn.lines[0].path.count("M") == 2
    assert [told for _, _, told in drawn.lines[0].points] == ["training, 1: 1", "training, 3: 0.5"]


def test_a_chart_of_nothing_finite_is_none():
    assert chart("loss", {"training": [(1, math.nan)]}, x_title="epoch") is None
    assert chart("loss", {}, x_title="epoch") is None


@given(st.lists(st.tuples(st.floats(0.1, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20), st.booleans())
def test_points_lie_inside_their_chart(points, logarithmic):
    drawn = chart("loss", {"a": points}, x_title="x", logarithmic=logarithmic, level=0.0)
    assert drawn is not None
    for x, y, _ in drawn.lines[0].points:
        assert drawn.left <= x <= drawn.right
        assert drawn.top <= y <= drawn.bottom
    for tick in (*drawn.x_ticks,):
        assert drawn.left - 1 <= tick.at <= drawn.right + 1


@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 200)), max_size=12))
def test_texts_beside_points_do_not_cover_each_other(points):
    heights = beside(points)
    for one in range(len(points)):
        for other in range(one):
            near = abs(points[one][0] - points[other][0]) < 96
            assert not near or abs(heights[one] - heights[other]) >= 12


@pytest.mark.parametrize("values", [(0.0, 0.0), (5e-324, 0.0), (0.3, 0.30000000000000004), (1e300, 1e300)])
def test_values_that_hardly_differ_have_a_chart(values):
    drawn = chart("loss", {"a": list(enumerate(values, start=1))}, x_title="epoch")
    assert drawn is not None
    assert 1 <= len(drawn.y_ticks) <= 7


def test_bars():
    assert bars([0, 1, 1000]) == ((32, 25, 31, 1), (64, 0, 31, 26))
    assert bars([]) == ()
    assert bars([0, 0]) == ()
