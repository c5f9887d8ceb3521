from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest.encode import encode as encode_typed
from penstock.serving.rest.encode import quote


def encode(outputs: dict[str, Any], *, rows: bool) -> bytes:
    """Encode as if the signature declared no types."""
    return encode_typed(outputs, dict.fromkeys(outputs, 0), rows=rows)


def _numbers(dtype: str) -> Callable[[Any], np.ndarray[Any, Any]]:
    return lambda values: np.array(values, dtype)


_float32, _float64, _int32, _int64 = map(_numbers, ("float32", "float64", "int32", "int64"))


def _texts(*values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, object)


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": _float32([2.5, 3, 4.5])}, '{\n    "predictions": [2.5, 3.0, 4.5\n    ]\n}'),
        ({"y": _float32([[1, 2], [3, 4]])}, '{\n    "predictions": [[1.0, 2.0], [3.0, 4.0]\n    ]\n}'),
        ({"y": _int32([[[1], [2]], [[3], [4]]])}, '{\n    "predictions": [[[1], [2]], [[3], [4]]\n    ]\n}'),
        ({"y": np.array([True, False])}, '{\n    "predictions": [true, false\n    ]\n}'),
        (
            {"y": _float32([[np.nan, np.inf], [3, -np.inf]])},
            '{\n    "predictions": [[NaN, Infinity], [3.0, -Infinity]\n    ]\n}',
        ),
        ({"y": _texts(b"a", "ü".encode())}, '{\n    "predictions": ["a", "ü"\n    ]\n}'),
        ({"y": np.zeros((2, 0), np.float32)}, '{\n    "predictions": [[], []\n    ]\n}'),
        ({"y": np.zeros((2, 2, 0), np.float32)}, '{\n    "predictions": [[[], []], [[], []]\n    ]\n}'),
        ({"y": np.zeros((0, 3), np.float32)}, '{\n    "predictions": []\n}'),
        ({"y": np.zeros((0, 3), np.float16), "z": np.zeros(0)}, '{\n    "predictions": []\n}'),
        (
            {"b": _float32([[1], [2]]), "a": _int64([1, 2])},
            (
                '{\n    "predictions": [\n        {\n            "a": 1,\n            "b": [1.0]\n        },\n'
                '        {\n            "a": 2,\n            "b": [2.0]\n        }\n    ]\n}'
            ),
        ),
        (
            {"y_bytes": _texts([b"hello"])},
            '{\n    "predictions": [[{\n                "b64": "aGVsbG8="\n            }]\n    ]\n}',
        ),
    ],
)
def test_rows(outputs: dict[str, Any], text: str) -> None:
    assert encode(outputs, rows=True).decode() == text


@pytest.mark.parametrize(
    ("outputs", "text"),
    [
        ({"y": np.array(2, "float32")}, '{\n    "outputs": 2.0\n}'),
        ({"y": _float32([1, 2])}, '{\n    "outputs": [\n        1.0,\n        2.0\n    ]\n}'),
        (
            {"y": _int32([[1, 2], [3, 4]])},
            (
                '{\n    "outputs": [\n        [\n            1,\n            2\n        ],\n        [\n            3,\n'
                "            4\n        ]\n    ]\n}"
            ),
        ),
        ({"y": np.zeros((0, 2), np.float32)}, '{\n    "outputs": []\n}'),
        ({"y": np.zeros((1, 0), np.float16)}, '{\n    "outputs": [\n        []\n    ]\n}'),
        ({"y": np.array(b"a", object)}, '{\n    "outputs": "a"\n}'),
        (
            {"b_bytes": np.array(b"a", object), "a": _float32([np.nan])},
            (
                '{\n    "outputs": {\n        "a": [\n            NaN\n        ],\n        "b_bytes": {\n'
                '            "b64": "YQ=="\n        }\n    }\n}'
            ),
        ),
    ],
)
def test_columns(outputs: dict[str, Any], text: str) -> None:
    assert encode(outputs, rows=False).decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.1, "0.1"), (1 / 3, "0.33333334"), (3, "3.0"), (9_000_000, "9000000.0"), (-0.0, "-0.0"), (0.00003, "0.00003"),
     (555557.5, "555557.5"), (3.4028235e38, "3.4028235e+38"), (1e-45, "1e-45")],
)  # fmt: skip
def test_the_shortest_text_of_a_float(value: float, text: str) -> None:
    assert encode({"y": _float32([value])}, rows=True).decode() == f'{{\n    "predictions": [{text}\n    ]\n}}'


def test_a_double_has_more_digits() -> None:
    assert b"[0.3333333333333333\n" in encode({"y": _float64([1 / 3])}, rows=True)


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "float32", "float64"]
)
def test_every_type_that_json_can_carry(dtype: str) -> None:
    values = np.array([[0, 1]], dtype)
    for order in (values, values.T.T[:, ::-1]):
        assert json.loads(encode({"y": order}, rows=True))["predictions"] == order.tolist()
        assert json.loads(encode({"y": order}, rows=False))["outputs"] == order.tolist()


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(np.float16, "half"), (ml_dtypes.bfloat16, "bfloat16"), (np.complex64, "complex64"), (np.uint16, "uint16")],
)
@pytest.mark.parametrize("rows", [True, False])
def test_types_that_json_cannot_carry(dtype: Any, name: str, *, rows: bool) -> None:
    with pytest.raises(ServingError) as caught:
        encode({"y": np.array([1], dtype)}, rows=rows)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"Failed to write JSON value for tensor type: {name}",
    )


@pytest.mark.parametrize(
    ("dtype", "declared", "name"),
    [
        (np.int8, 11, "qint8"),
        (np.int32, 13, "qint32"),
        (ml_dtypes.float8_e5m2, 24, "float8_e5m2"),
        (ml_dtypes.float8_e4m3fn, 0, "float8_e4m3fn"),
        (ml_dtypes.int4, 29, "int4"),
        (ml_dtypes.int2, 31, "int2"),
    ],
)
@pytest.mark.parametrize("rows", [True, False])
def test_what_the_signature_says_of_a_type_that_json_cannot_carry(
    dtype: Any, declared: int, name: str, *, rows: bool
) -> None:
    with pytest.raises(ServingError) as caught:
        encode_typed({"y": np.array([1], dtype)}, {"y": declared}, rows=rows)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"Failed to write JSON value for tensor type: {name}",
    )


def test_a_type_that_the_array_is_not_of_is_not_believed() -> None:
    assert encode_typed({"y": _int32([1])}, {"y": 11}, rows=True) == encode({"y": _int32([1])}, rows=True)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ({}, "Cannot convert empty tensor map to JSON"),
        ({"y": np.array(1, "float32")}, "Tensor name: y has no shape information "),
        (
            {"a": _float32([1, 2]), "b": _float32([1])},
            "Tensor name: b has inconsistent batch size: 1 expecting: 2",
        ),
        ({"a": np.zeros(0), "b": _float32([1])}, "Tensor name: b has inconsistent batch size: 1 expecting: 0"),
    ],
)
def test_outputs_that_are_no_rows(outputs: dict[str, Any], message: str) -> None:
    with pytest.raises(ServingError) as caught:
        encode(outputs, rows=True)
    assert caught.value.message == message


def test_bytes_that_are_no_utf8_stay_what_they_are() -> None:
    assert quote(b'\xff"\xc3\xbc\n') == b'"\xff\\"\xc3\xbc\\n"'


_shapes = arrays.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=3)


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=3),
        _shapes.flatmap(lambda shape: arrays.arrays(st.sampled_from([np.float32, np.int64, np.bool_]), (2, *shape))),
        min_size=1,
        max_size=3,
    )
)
def test_what_is_written_reads_back(outputs: dict[str, Any]) -> None:
    found = json.loads(encode(outputs, rows=False))["outputs"]
    rows = json.loads(encode(outputs, rows=True))["predictions"]
    for name, array in outputs.items():
        column = found if len(outputs) == 1 else found[name]
        stacked = rows if len(outputs) == 1 else [row[name] for row in rows]
        np.testing.assert_array_equal(np.array(column, array.dtype).reshape(array.shape), array)
        assert stacked == column or np.isnan(array.astype(float)).any()


@given(st.lists(st.binary(max_size=5), min_size=1, max_size=4))
def test_bytes_read_back(values: list[bytes]) -> None:
    rows = json.loads(encode({"y_bytes": _texts(*values)}, rows=True))["predictions"]
    assert [base64.b64decode(row["b64"]) for row in rows] == values
