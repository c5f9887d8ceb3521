from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest import arrays, decode
from penstock.serving.rest.decode import Request
from penstock.serving.rest.read import read
from tests.serving.rest.fakes import (
    BFLOAT16,
    BOOL,
    DOUBLE,
    FLOAT,
    HALF,
    INT8,
    INT16,
    INT32,
    INT64,
    STRING,
    UINT8,
    UINT32,
    UINT64,
)

X = {"x": FLOAT}
_BAD_B64 = 'JSON Value: {\n    "b64": "=",\n    "a": 1\n} not formatted correctly for base64 data'


def _decode(text: str, types: Mapping[str, int], signature: str | None = None) -> Request:
    body = text.encode()
    return decode.decode(read(body), body, types, signature)


def _array(text: str, data_type: int) -> np.ndarray[Any, Any]:
    return _decode(text, {"x": data_type}).inputs["x"]


@pytest.mark.parametrize(
    ("values", "data_type", "dtype", "expected"),
    [
        ("[1, 2.0, 5.003]", FLOAT, "float32", [1, 2, 5.003]),
        ("[1.0, 2, 0.662]", DOUBLE, "float64", [1, 2, 0.662]),
        ("[1435774380]", FLOAT, "float32", [1435774380]),
        ("[NaN, Infinity, -Infinity]", FLOAT, "float32", [np.nan, np.inf, -np.inf]),
        ("[1.7e308, -1.7e308, 1e-320]", FLOAT, "float32", [np.inf, -np.inf, 0]),
        ("[1, -2]", INT32, "int32", [1, -2]),
        ("[9007199254740993, -9223372036854775808]", INT64, "int64", [9007199254740993, -(2**63)]),
        ("[300, -1]", UINT8, "uint8", [44, 255]),
        ("[40000]", INT16, "int16", [-25536]),
        ("[128]", INT8, "int8", [-128]),
        ("[4294967295]", UINT32, "uint32", [2**32 - 1]),
        ("[18446744073709551615, 1]", UINT64, "uint64", [2**64 - 1, 1]),
        ("[true, false]", BOOL, "bool", [True, False]),
        ('["a", "ü"]', STRING, "object", [b"a", "ü".encode()]),
        ('[{"b64": "aGVsbG8="}, "x"]', STRING, "object", [b"hello", b"x"]),
        ('[{"b64": "aGVs bG8"}, {"b64": ""}]', STRING, "object", [b"hello", b""]),
        ("[[1, 2], [3, 4], [5, 6]]", FLOAT, "float32", [[1, 2], [3, 4], [5, 6]]),
        ("[[], []]", FLOAT, "float32", [[], []]),
        ("[[], []]", INT32, "int32", [[], []]),
        ("[[], []]", STRING, "object", [[], []]),
        ("[[], []]", HALF, "float32", [[], []]),
    ],
)  # fmt: skip
def test_values_of_each_type(values: str, data_type: int, dtype: str, expected: list[Any]) -> None:
    for key in ("instances", "inputs"):
        found = _array(f'{{"{key}": {values}}}', data_type)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, np.array(expected, dtype))


@pytest.mark.parametrize(
    ("data_type", "value", "shown", "kind", "name"),
    [
        (INT32, "1.0", "1.0", "Number", "int32"),
        (INT64, "1.0", "1.0", "Number", "int64"),
        (INT32, "1e2", "100.0", "Number", "int32"),
        (INT32, "2147483648", "2147483648", "Number", "int32"),
        (UINT8, "2147483648", "2147483648", "Number", "uint8"),
        (UINT32, "-1", "-1", "Number", "uint32"),
        (UINT64, "-1", "-1", "Number", "uint64"),
        (INT64, "9223372036854775808", "9223372036854775808", "Number", "int64"),
        (INT32, "true", "true", "True", "int32"),
        (INT64, "NaN", "", "Number", "int64"),
        (FLOAT, "true", "true", "True", "float"),
        (FLOAT, "false", "false", "False", "float"),
        (FLOAT, "null", "null", "Null", "float"),
        (FLOAT, '"1.5"', '"1.5"', "String", "float"),
        (DOUBLE, '"true"', '"true"', "String", "double"),
        (FLOAT, "{}", "{}", "Object", "float"),
        (FLOAT, '{"b64": "AA=="}', '{\n    "b64": "AA=="\n}', "Object", "float"),
        (BOOL, "1", "1", "Number", "bool"),
        (STRING, "1", "1", "Number", "string"),
        (HALF, '{"b64": "AA=="}', '{\n    "b64": "AA=="\n}', "Object", "half"),
    ],
)
def test_a_value_of_another_type(data_type: int, value: str, shown: str, kind: str, name: str) -> None:
    message = f"JSON Value: {shown} Type: {kind} is not of expected type: {name}"
    with pytest.raises(ServingError) as caught:
        _array(f'{{"inputs": [[{value}]]}}', data_type)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)
    with pytest.raises(ServingError) as caught:
        _array(f'{{"instances": [[{value}]]}}', data_type)
    assert caught.value.message == (
        f"Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: {message}"
    )


@pytest.mark.parametrize(("data_type", "name"), [(HALF, "half"), (BFLOAT16, "bfloat16"), (8, "complex64")])
def test_types_that_json_cannot_carry(data_type: int, name: str) -> None:
    with pytest.raises(ServingError) as caught:
        _array('{"inputs": [1.5]}', data_type)
    assert (caught.value.code, caught.value.message) == (
        Code.UNIMPLEMENTED,
        f"Conversion of JSON Value: 1.5 to type: {name}",
    )
    with pytest.raises(ServingError) as caught:
        _array('{"instances": [1.5]}', data_type)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        (
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: "
            f"Conversion of JSON Value: 1.5 to type: {name}"
        ),
    )


@pytest.mark.parametrize(
    ("text", "inputs", "rows"),
    [
        ('{"instances": [1, 2]}', {"x": [1, 2]}, True),
        ('{"instances": [{"x": 1}, {"x": 2}]}', {"x": [1, 2]}, True),
        ('{"signature_name": "s", "instances": [{"x": [1, 2]}]}', {"x": [[1, 2]]}, True),
        ('{"inputs": [1, 2]}', {"x": [1, 2]}, False),
        ('{"inputs": 3}', {"x": 3}, False),
        ('{"inputs": {"x": [1, 2]}}', {"x": [1, 2]}, False),
        ('{"inputs": {"x": [1], "other": "ignored", "true": true}, "more": {}}', {"x": [1]}, False),
        ('{"instances": [1], "more": ["a", true]}', {"x": [1]}, True),
    ],
)
def test_one_input(text: str, inputs: dict[str, Any], *, rows: bool) -> None:
    found = _decode(text, X)
    assert ({name: array.tolist() for name, array in found.inputs.items()}, found.rows) == (inputs, rows)


@pytest.mark.parametrize(
    "text",
    [
        '{"instances": [{"a": [1, 2], "b": "x"}, {"b": {"b64": "eQ"}, "a": [3, 4]}]}',
        '{"inputs": {"a": [[1, 2], [3, 4]], "b": ["x", "y"], "c": 1}}',
    ],
)
def test_several_inputs(text: str) -> None:
    found = _decode(text, {"a": FLOAT, "b": STRING}).inputs
    assert {name: array.tolist() for name, array in found.items()} == {"a": [[1, 2], [3, 4]], "b": [b"x", b"y"]}


def test_several_inputs_of_numbers() -> None:
    found = _decode('{"instances": [{"a": 1, "b": [2.5]}, {"b": [3.5], "a": 4}]}', {"a": INT32, "b": FLOAT}).inputs
    assert found["a"].tolist() == [1, 4]
    assert found["b"].tolist() == [[2.5], [3.5]]


def test_bytes_that_are_no_utf8_come_through() -> None:
    body = b'{"inputs": ["\xff\\n"]}'
    assert decode.decode(read(body), body, {"x": STRING}, None).inputs["x"].tolist() == [b"\xff\n"]


_ELEMENT = "Failed to process element: "


@pytest.mark.parametrize(
    ("text", "types", "message"),
    [
        ("{}", X, "Missing 'inputs' or 'instances' key"),
        ("{}", {}, "Failed to get input map for signature: DEFAULT"),
        (
            '{"instances": [1], "inputs": [1]}',
            X,
            (
                'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly '
                "expecting only one of 'inputs' or 'instances' keys to exist "
            ),
        ),
        ('{"instances": 1}', X, "JSON Value: {\n    \"instances\": 1\n} Expecting 'instances' to be an list/array"),
        ('{"instances": []}', X, "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        (
            '{"instances": [1]}',
            {"a": FLOAT, "b": FLOAT},
            (
                "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
                "tensorinfo_map"
            ),
        ),
        (
            '{"inputs": [1]}',
            {"a": FLOAT, "b": FLOAT},
            (
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            ),
        ),
        ('{"inputs": {"y": 1}}', X, "Missing named input: x in 'inputs' object."),
        ('{"instances": [{"x": 1}, [1]]}', X, "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 1}]}', X, "Expecting value/list but got object at item 1 of input list"),
        (
            '{"instances": [{"y": 1}]}',
            X,
            _ELEMENT + "0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not have named "
            "input: y",
        ),
        (
            '{"instances": [{"a": 1}]}',
            {"a": FLOAT, "b": FLOAT},
            _ELEMENT + "0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: a,b",
        ),
        (
            '{"instances": [[1, 2], [3, 4], [5, 6, 7]]}',
            X,
            _ELEMENT + "2 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 2 but got: 3",
        ),
        (
            '{"instances": [[1, 2], [[5, 6]]]}',
            X,
            _ELEMENT + "1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [2] but got: [1,2]",
        ),
        (
            '{"instances": [1, [1]]}',
            X,
            _ELEMENT + "1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting shape [] but got: [1]",
        ),
        ('{"inputs": [[1], 2]}', X, "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ('{"inputs": [1, [2]]}', X, "Encountered list at unexpected level: 1 expected < 1"),
        (
            '{"inputs": [[1, 2], [3]]}',
            X,
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2",
        ),
        ('{"inputs": [{"b64": "=", "a": 1}]}', {"x": STRING}, _BAD_B64),
        ('{"inputs": [{"b64": "a"}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": "a==="}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": "ab="}]}', {"x": STRING}, "Unable to base64 decode"),
        ('{"inputs": [{"b64": "a-_="}]}', {"x": STRING}, "Unable to base64 decode"),
        (f'{{"inputs": {"[" * 65}1{"]" * 65}}}', X, "tensor parsing error: x"),
    ],
)
def test_requests_that_do_not_fit(text: str, types: dict[str, int], message: str) -> None:
    with pytest.raises(ServingError) as caught:
        _decode(text, types)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


def test_a_signature_without_inputs_is_named() -> None:
    with pytest.raises(ServingError, match="input map for signature: init"):
        _decode('{"instances": [1]}', {}, "init")


@pytest.mark.parametrize("text", ['{"inputs": true}', '{"inputs": {"x": true, "y": [1]}}', '{"inputs": {"x": true}}'])
def test_truth_is_no_number_wherever_it_stands(text: str) -> None:
    with pytest.raises(ServingError, match="JSON Value: true Type: True is not of expected type: float"):
        _decode(text, X)


def test_long_strings_among_numbers_take_no_memory() -> None:
    """NumPy would make every element as long as the longest."""
    text = json.dumps({"instances": ["x" * 100_000, *range(20_000)]})
    with pytest.raises(ServingError, match="Type: String is not of expected type: float"):
        _decode(text, X)


_element: st.SearchStrategy[Any] = (
    st.integers(-3, 3) | st.just(2**40) | st.just(2**63) | st.floats(width=32) | st.booleans() | st.none()
    | st.sampled_from(["a", "1", "true", '"', "NaN"]) | st.just({"b64": "AA=="}) | st.just({})
)  # fmt: skip
_vector = st.lists(_element, max_size=3)
_matrix = st.lists(_element | _vector, max_size=3)
_value = _element | _vector | _matrix | st.lists(_matrix, max_size=2)


@given(
    rows=st.lists(_value | st.fixed_dictionaries({}, optional={"x": _value, "y": _value}), max_size=3),
    data_type=st.sampled_from([FLOAT, DOUBLE, INT32, UINT8, INT64, UINT64, BOOL, STRING, HALF]),
    two=st.booleans(),
    column=st.booleans(),
)
def test_the_fast_way_and_the_exact_way_agree(rows: list[Any], data_type: int, *, two: bool, column: bool) -> None:
    value: Any = rows[0] if column and rows else rows
    body = json.dumps({"inputs" if column else "instances": value}).encode()
    types = {"x": data_type, "y": FLOAT} if two else {"x": data_type}

    def outcome() -> Any:
        try:
            return decode.decode(read(body), body, types, None).inputs
        except ServingError as error:
            return str(error)

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "quick", lambda values, data_type: None)
        exact = outcome()
    if isinstance(exact, str):
        assert fast == exact
        return
    assert fast.keys() == exact.keys()
    for name, array in exact.items():
        assert array.dtype == fast[name].dtype
        np.testing.assert_array_equal(fast[name], array)


def test_numbers_go_the_fast_way() -> None:
    document = {"signature_name": "s", "instances": [{"x": [0.5, 2]}] * 3}
    body = orjson.dumps(document)
    assert arrays.only_numbers(body, 3 + 3)
    assert not arrays.only_numbers(body.replace(b"0.5", b"true"), 3 + 3)
    assert not arrays.only_numbers(body.replace(b"0.5", b'"5"'), 3 + 3)
