"""The laws of merging."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.pipelines.config.marks import Mark
from penstock.pipelines.config.tree import Node, Places, flatten, merge

HERE = Mark("base.yaml", 1, 1)
THERE = Mark("over.yaml", 2, 2)
scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
keys = st.sampled_from(["a", "b", "c", "d"])
documents = st.dictionaries(
    keys,
    st.recursive(
        scalars,
        lambda inner: st.dictionaries(keys, inner, max_size=3) | st.lists(inner, max_size=2),
        max_leaves=6,
    ),
    max_size=4,
)


def _tree(data: Any, mark: Mark = HERE, key: Mark | None = None) -> Node:
    if isinstance(data, dict):
        return Node({name: _tree(child, mark, mark) for name, child in data.items()}, mark, key)
    if isinstance(data, list):
        return Node([_tree(child, mark) for child in data], mark, key)
    return Node(data, mark, key)


def _merged(*documents: Any) -> Any:
    first, *others = map(_tree, documents)
    for other in others:
        first = merge(first, other)
    return flatten(first)[0]


def _without_null(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_null(value) for key, value in data.items() if value is not None}
    return data


@given(documents)
def test_nothing_is_neutral_on_either_side(document: Any) -> None:
    assert _merged(document, {}) == document
    assert _merged({}, document) == document


@given(documents.map(_without_null))
def test_a_document_laid_on_itself_is_itself(document: Any) -> None:
    assert _merged(document, document) == document


layers = st.dictionaries(keys, st.dictionaries(keys, st.integers(), max_size=3), max_size=3)


@given(layers, layers, layers)
def test_of_documents_of_one_shape_the_grouping_does_not_matter(low: Any, middle: Any, high: Any) -> None:
    assert _merged(_merged(low, middle), high) == _merged(low, _merged(middle, high))


@given(documents, keys)
def test_null_deletes(document: Any, key: str) -> None:
    expected = {name: value for name, value in document.items() if name != key}
    assert _merged({**document, key: 1}, {key: None}) == expected


@given(documents, keys, scalars.filter(lambda value: value is not None))
def test_what_lies_on_top_wins(document: Any, key: str, value: Any) -> None:
    assert _merged(document, {key: value}) == {**document, key: value}


@given(documents, documents)
def test_the_order_is_that_of_the_base(base: Any, over: Any) -> None:
    merged = list(_merged(base, over))
    kept = [key for key in base if key in merged]
    assert merged == kept + [key for key in over if key not in base]


def test_lists_are_replaced() -> None:
    assert _merged({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": 5}) == {"a": [3], "b": 5}


def test_marks_are_those_of_the_writer() -> None:
    merged = merge(_tree({"a": {"b": 1, "c": 2}}), _tree({"a": {"c": 3}}, THERE))
    _, places = flatten(merged)
    assert places.values["a", "b"] == HERE
    assert places.values["a", "c"] == THERE
    assert places.keys["a",] == THERE


def test_nearest_place() -> None:
    places = Places({(): HERE, ("a",): HERE}, {("a",): THERE})
    assert places.find(("a",)) == HERE
    assert places.find(("a",), key=True) == THERE
    assert places.find(("a", "b", 0)) == THERE
    assert places.find(("z",)) == HERE
    assert Places().find(("a",)) is None
