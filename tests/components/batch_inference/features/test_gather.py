"""Numbered columns are the values of a vector, where no doubt is possible."""

from __future__ import annotations

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.batch_inference.features.gather import sources_of, told_source
from penstock.serving.saved_model import TensorInfo


def _spec(name: str, *inner: int | None) -> TensorInfo:
    return TensorInfo(name, "float32", (None, *inner))


@pytest.mark.parametrize("form", ["x_{}", "x.{}", "x{}", "x[{}]", "x_{:03d}"])
@pytest.mark.parametrize("first", [0, 1])
def test_columns_of_the_inputs_name(form: str, first: int):
    columns = [form.format(number) for number in range(first, first + 12)]
    assert sources_of([_spec("x", 12)], ["id", *reversed(columns), "label"]) == {"x": tuple(columns)}


@pytest.mark.parametrize("inner", [(64,), (8, 8), (8, 8, 1)])
@pytest.mark.parametrize("form", ["image_{}_{}", "pixel_{}_{}", "pixel[{}][{}]"])
def test_rows_and_columns_of_an_image(inner: tuple[int, ...], form: str):
    columns = [form.format(row, column) for row, column in product(range(8), range(8))]
    shuffled = random.Random(0).sample(columns, 64)
    assert sources_of([_spec("image", *inner)], ["id", *shuffled, "label"]) == {"image": tuple(columns)}


def test_a_column_of_the_name_itself_comes_first():
    assert sources_of([_spec("x", 2)], ["x", "x_0", "x_1"]) == {"x": ("x",)}


def test_several_vectors_by_their_names():
    columns = [f"{name}_{number}" for name in ("a", "ab") for number in range(3)]
    assert sources_of([_spec("a", 3), _spec("ab", 3)], columns) == {"a": tuple(columns[:3]), "ab": tuple(columns[3:])}


def test_an_open_size_takes_as_many_as_there_are():
    assert sources_of([_spec("x", None)], ["x_0", "x_1", "x_2"]) == {"x": ("x_0", "x_1", "x_2")}


@pytest.mark.parametrize(
    "columns",
    [
        ["x_0", "x_2"],
        ["x_2", "x_3"],
        ["x_0"],
        ["x_0", "x_1", "x_2"],
        ["x_0", "x_00"],
        ["x_0", "x_a"],
        ["a_0", "a_1", "b_0", "b_1"],
        ["x_0_0", "x_1"],
        [],
    ],
    ids=["a gap", "a late begin", "too few", "too many", "twice", "no number", "two that fit", "uneven", "none"],
)
def test_what_leaves_a_doubt_is_not_taken(columns: list[str]):
    assert sources_of([_spec("x", 2)], columns) == {}


def test_other_names_are_for_one_vector_alone():
    columns = ["pixel_0", "pixel_1"]
    assert sources_of([_spec("x", 2)], columns) == {"x": ("pixel_0", "pixel_1")}
    assert sources_of([_spec("x", 2), _spec("y", 2)], columns) == {}
    assert sources_of([_spec("x", None)], columns) == {}
    assert sources_of([_spec("x")], ["pixel_0"]) == {}


@given(st.sets(st.integers(0, 12), min_size=1), st.integers(1, 12))
def test_only_numbers_without_a_gap(numbers: set[int], size: int):
    found = sources_of([_spec("x", size)], [f"x_{number}" for number in numbers])
    first = min(numbers)
    wanted = first in (0, 1) and numbers == set(range(first, first + size))
    assert found == ({"x": tuple(f"x_{number}" for number in sorted(numbers))} if wanted else {})


def test_told():
    assert told_source(("x",)) == "column 'x'"
    assert told_source(("x_0", "x_1", "x_2")) == "3 columns, 'x_0' to 'x_2'"
