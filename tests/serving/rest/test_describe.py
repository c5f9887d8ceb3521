from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.serving.rest.describe import show, type_name


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (True, "true"),
        (None, "null"),
        ('a"\n', '"a\\"\\n"'),
        ("\udcff", '"\ufffd"'),
        ([], "[]"),
        ({}, "{}"),
        ([[1, 2], ["a"]], '[[1, 2], ["a"]]'),
        ({"a": 1, "b": [1, {}]}, '{\n    "a": 1,\n    "b": [1, {}]\n}'),
        ([{"a": 1}, 2], '[{\n        "a": 1\n    }, 2]'),
        ([1, math.nan, 2], "[1, "),
    ],
)
def test_values(value: Any, text: str) -> None:
    assert show(value) == text


def test_only_the_beginning_is_shown() -> None:
    assert show([1000] * 100) == "[1000" + ", 1000" * 42
    assert show(["a" * 1000, "b"]) == f'["{"a" * 1000}"'
    deep: Any = 1
    for _ in range(10_000):  # Ten times Python's own limit; many more would set off a collection of all garbage.
        deep = [deep]
    assert show(deep) == "[" * 256


@pytest.mark.parametrize(
    ("value", "name"),
    [(None, "Null"), (True, "True"), (False, "False"), ({}, "Object"), ([], "Array"), ("", "String"), (1, "Number"),
     (1.5, "Number")],
)  # fmt: skip
def test_types(value: Any, name: str) -> None:
    assert type_name(value) == name
