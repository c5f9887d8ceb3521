"""Columns become what a signature takes, and arrays become JSON, cells and lists."""

import json

import numpy as np
import pyarrow as pa
import pytest

from penstock.components.batch_inference.bisect import Refused
from penstock.components.batch_inference.features.arrays import to_array
from penstock.components.batch_inference.join import objects
from penstock.components.batch_inference.plain import plain_value
from penstock.components.batch_inference.writing.json_values import json_of_array, json_of_column, json_of_texts
from penstock.components.batch_inference.writing.table import to_column
from penstock.serving.saved_model import TensorInfo


def _spec(dtype, *inner):
    return TensorInfo("x", dtype, (None, *inner))


@pytest.mark.parametrize(
    ("column", "spec", "want"),
    [
        (["1", " 2.5 "], _spec("float32"), [1.0, 2.5]),
        ([1, 2], _spec("float32"), [1.0, 2.0]),
        ([1.0, 2.0], _spec("int64"), [1, 2]),
        ([True, False], _spec("float32"), [1.0, 0.0]),
        (["true", "false"], _spec("bool"), [True, False]),
        (["a", "é"], _spec("string"), [b"a", "é".encode()]),
        ([b"\xff"], _spec("string"), [b"\xff"]),
        (["a"], _spec("string", 1), [[b"a"]]),
        ([1.5, 2.5], _spec("float32", 1), [[1.5], [2.5]]),
        ([[1.5], [2.5]], _spec("float32"), [1.5, 2.5]),
        ([[1, 2], [3, 4]], _spec("float32", 2), [[1.0, 2.0], [3.0, 4.0]]),
        ([[1, 2, 3, 4]], _spec("int32", 2, 2), [[[1, 2], [3, 4]]]),
        ([[[1, 2], [3, 4]]], _spec("int32", 2, 2), [[[1, 2], [3, 4]]]),
        ([[1, 2]], _spec("int32", None), [[1, 2]]),
        (["[1, 2]", "[3, 4]"], _spec("float32", 2), [[1.0, 2.0], [3.0, 4.0]]),
        (['["a", "b"]'], _spec("string", 2), [[b"a", b"b"]]),
        ([[1, 2]], TensorInfo("x", "int64", None), [[1, 2]]),
    ],
)
def test_what_fits(column, spec, want):
    found = to_array(pa.array(column), spec)
    assert found.tolist() == want
    assert found.dtype == (object if spec.dtype == "string" else np.dtype(spec.dtype))


def test_rows_that_differ_in_an_open_dimension():
    found = to_array(pa.array([[1, 2], [3]]), _spec("int64", None))
    assert [row.tolist() for row in found] == [[1, 2], [3]]


@pytest.mark.parametrize(
    ("value", "spec", "cause"),
    [
        (None, _spec("float32"), "the feature 'x' is missing"),
        ([1.0, None], _spec("float32", 2), "the feature 'x' has a value that is missing"),
        ("a", _spec("float32"), "the feature 'x' holds 'a', and the signature takes float32"),
        (1.5, _spec("int64"), "the feature 'x' holds 1.5, and the signature takes int64"),
        (300, _spec("uint8"), "the feature 'x' holds 300, and the signature takes uint8"),
        (1, _spec("string"), "the feature 'x' holds int64, and the signature takes texts"),
        ([1, 2], _spec("float32"), "the feature 'x' has 2 values, and the signature takes one"),
        ([1, 2], _spec("float32", 3), "the feature 'x' has 2 values, and the signature takes [3]"),
        ([1, 2, 3], _spec("float32", None, 2), "the feature 'x' has 3 values, and the signature takes [any, 2]"),
        ("1,2", _spec("float32", 2), "the feature 'x' is no list: it should be written as [1, 2.5]"),
    ],
)
def test_what_does_not_fit(value, spec, cause):
    with pytest.raises(Refused) as raised:
        to_array(pa.array([value]), spec)
    assert str(raised.value) == cause


@pytest.mark.parametrize(
    "array",
    [
        np.array([1, -2]),
        np.array([0.1, 1e-9, 3.0], np.float32),
        np.array([[0.1, 2.0], [3.0, 4.0]], np.float32),
        np.arange(12).reshape(2, 3, 2),
        np.array([True, False]),
        np.zeros((2, 0)),
        np.array([b"a", b'"\\\n'], dtype=object),
        np.array([[b"a", b"b"]], dtype=object),
        objects([np.array([1, 2]), np.array([3])]),
    ],
    ids=str,
)
def test_json_of_arrays(array):
    found = [json.loads(row) for row in json_of_array(array)]
    want = [plain_value(row.tolist() if isinstance(row, np.ndarray) else row) for row in array.tolist()]
    if array.dtype.kind == "f":
        np.testing.assert_array_equal(np.array(found, array.dtype), array)
    else:
        assert found == want


def test_small_floats_are_the_shortest_decimals():
    assert json_of_array(np.array([0.1, np.nan], np.float32)) == [b"0.1", b"null"]


@pytest.mark.parametrize(
    "column", [["a", 'b"\\\x01'], ["plain", "é"], [1, None], [1.5, 2.5], [[1], []], [{"a": 1}], [True, None], []]
)
def test_json_of_columns(column):
    assert [json.loads(row) for row in json_of_column(pa.array(column))] == column


def test_json_of_slices():
    assert json_of_texts(pa.array(['"', "a", "b"]).slice(1)) == [b'"a"', b'"b"']


def test_bytes_that_are_no_text():
    assert json_of_array(np.array([b"\xff"], dtype=object)) == [b'{"b64":"/w=="}']
    texts = to_column(np.array([b"a", b"\xff"], dtype=object), pa.string())
    assert texts.to_pylist() == ["a", '{"b64":"/w=="}']
    assert to_column(np.array([b"\xff"], dtype=object), pa.binary()).to_pylist() == [b"\xff"]


def test_columns_of_arrays():
    matrix = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    assert to_column(matrix, pa.list_(pa.list_(pa.float32()))).to_pylist() == matrix.tolist()
    ragged = objects([np.array([1.0, 2.0], np.float32), np.array([], np.float32)])
    assert to_column(ragged, pa.list_(pa.float32())).to_pylist() == [[1.0, 2.0], []]
