"""SERVING.md, REST: row and column format, values, types, replies."""

from __future__ import annotations

import json
import math

import pytest

from penstock.serving.server import Ports
from tests.serving.conformance.rest_vectors import PREDICT, Vector, ask, bad, check, element, signed, table


def _ok(name: str, body: str | bytes, reply: object) -> Vector:
    return Vector(name, PREDICT, body, reply=reply)


def _echo(dtype: str, values: str, *, columns: bool = True) -> str:
    return signed(f"echo_{dtype}", f'"{"inputs" if columns else "instances"}": {values}')


_PARSE = "JSON Parse error: "


@table(
    [
        _ok("rows", '{"instances": [1.0, 3]}', '{\n    "predictions": [4.5, 5.5\n    ]\n}'),
        _ok("named rows", '{"instances": [{"x": 1}, {"x": 3}]}', {"predictions": [4.5, 5.5]}),
        _ok("columns", '{"inputs": [1, 3]}', '{\n    "outputs": [\n        4.5,\n        5.5\n    ]\n}'),
        _ok("named columns", '{"inputs": {"x": [1, 3]}}', {"outputs": [4.5, 5.5]}),
        _ok("columns with others", '{"inputs": {"x": [1], "y": ["?"], "z": null}}', {"outputs": [4.5]}),
        _ok("other members", '{"instances": [1], "id": "7", "deep": {"a": [true]}}', {"predictions": [4.5]}),
        _ok("empty signature name", signed("", '"instances": [1]'), {"predictions": [4.5]}),
        _ok("explicit signature", signed("serving_default", '"instances": [1]'), {"predictions": [4.5]}),
        _ok("several outputs, rows", signed("two", '"instances": [{"a": 1, "b": 2}, {"b": 4, "a": 3}]'),
            '{\n    "predictions": [\n        {\n            "difference": -1.0,\n            "sum": 3.0\n        },\n'
            '        {\n            "difference": -1.0,\n            "sum": 7.0\n        }\n    ]\n}'),
        _ok("several outputs, columns", signed("two", '"inputs": {"a": [1, 3], "b": [2, 4]}'),
            '{\n    "outputs": {\n        "difference": [\n            -1.0,\n            -1.0\n        ],\n'
            '        "sum": [\n            3.0,\n            7.0\n        ]\n    }\n}'),
        _ok("matrix", signed("matrix", '"instances": [[1, 2, 3], [4, 5, 6.5]]'), {"predictions": [6.0, 15.5]}),
        # A session does not look at the shapes in a signature; only what the model computes can object.
        _ok("other shape than the signature says", signed("matrix", '"instances": [[1, 2]]'), {"predictions": [3.0]}),
        _ok("scalar column", signed("scalar", '"inputs": 3'), '{\n    "outputs": 6.0\n}'),
        _ok("rank 3", _echo("int32", "[[[1], [2]], [[3], [4]]]", columns=False),
            '{\n    "predictions": [[[1], [2]], [[3], [4]]\n    ]\n}'),
        _ok("no columns at all", '{"inputs": []}', {"outputs": []}),
        _ok("white space", ' \r\n\t{ "instances" : [ 1 ] } ', {"predictions": [4.5]}),
        _ok("text after the document", '{"instances": [1]} and more', {"predictions": [4.5]}),
        _ok("byte order mark", b'\xef\xbb\xbf{"instances": [1]}', {"predictions": [4.5]}),
        _ok("strings", signed("echo_string", '"instances": ["a", "ü\\n"]'),
            '{\n    "predictions": ["a", "ü\\n"\n    ]\n}'),
        _ok("base64 is a value, rows", signed("echo_string", '"instances": [{"b64": "aGVsbG8="}, "x"]'),
            {"predictions": ["hello", "x"]}),
        _ok("base64 is a value, columns", signed("echo_string", '"inputs": {"b64": "aGVsbG8"}'), {"outputs": "hello"}),
        _ok("a single string", signed("word", '"inputs": "ü"'),
            '{\n    "outputs": {\n        "s": "ü",\n        "s_bytes": {\n            "b64": "w7w="\n        }\n'
            "    }\n}"),
        _ok("bytes are written as base64", signed("words", '"instances": [{"s": {"b64": "/w=="}}]'.replace("/w", "YQ")),
            '{\n    "predictions": [\n        {\n            "length": 1,\n            "s": "a",\n'
            '            "s_bytes": {\n                "b64": "YQ=="\n            }\n        }\n    ]\n}'),
    ]
)  # fmt: skip
def test_answers(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@table(
    [
        _ok("float", _echo("float32", "[0.1, 0.33333334, 3, 9000000, -0.0]"),
            '{\n    "outputs": [\n        0.1,\n        0.33333334,\n        3.0,\n        9000000.0,\n        -0.0\n'
            "    ]\n}"),
        _ok("double", _echo("float64", "[0.1, 0.3333333333333333]"), {"outputs": [0.1, 1 / 3]}),
        _ok("int8", _echo("int8", "[-128, 127, 128]"), {"outputs": [-128, 127, -128]}),
        _ok("uint8", _echo("uint8", "[0, 255, 300]"), {"outputs": [0, 255, 44]}),
        _ok("int16", _echo("int16", "[-32768, 32767]"), {"outputs": [-32768, 32767]}),
        _ok("int32", _echo("int32", "[-2147483648, 2147483647]"), {"outputs": [-(2**31), 2**31 - 1]}),
        _ok("int64", _echo("int64", "[-9223372036854775808, 9223372036854775807]"),
            {"outputs": [-(2**63), 2**63 - 1]}),
        _ok("uint32", _echo("uint32", "[4294967295]"), {"outputs": [2**32 - 1]}),
        _ok("uint64", _echo("uint64", "[18446744073709551615, 0]"), {"outputs": [2**64 - 1, 0]}),
        _ok("bool", _echo("bool", "[true, false]"), {"outputs": [True, False]}),
        _ok("NaN and Infinity", _echo("float32", "[NaN, Infinity, -Infinity, 1]", columns=False),
            '{\n    "predictions": [NaN, Infinity, -Infinity, 1.0\n    ]\n}'),
        _ok("short Inf", _echo("float64", "[-Inf]"), '{\n    "outputs": [\n        -Infinity\n    ]\n}'),
        _ok("too large for a float", _echo("float32", "[1e308]", columns=False),
            '{\n    "predictions": [Infinity\n    ]\n}'),
        bad("int32 of 1.0", _echo("int32", "[1.0]"),
            "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        bad("int64 of 1e0", _echo("int64", "[1e0]"), "JSON Value: 1.0 Type: Number is not of expected type: int64"),
        bad("int32 too large", _echo("int32", "[2147483648]"),
            "JSON Value: 2147483648 Type: Number is not of expected type: int32"),
        bad("uint64 negative", _echo("uint64", "[-1]"), "JSON Value: -1 Type: Number is not of expected type: uint64"),
        bad("int64 too large", _echo("int64", "[9223372036854775808]"),
            "JSON Value: 9223372036854775808 Type: Number is not of expected type: int64"),
        bad("bool of 1", _echo("bool", "[1]"), "JSON Value: 1 Type: Number is not of expected type: bool"),
        bad("float of true", _echo("float32", "[true]"), "JSON Value: true Type: True is not of expected type: float"),
        bad("float of null", _echo("float32", "[null]"), "JSON Value: null Type: Null is not of expected type: float"),
        bad("string of 1", _echo("string", "[1]"), "JSON Value: 1 Type: Number is not of expected type: string"),
        bad("half", _echo("float16", "[1]"), "Conversion of JSON Value: 1 to type: half", status=501),
        bad("bfloat16", _echo("bfloat16", "[1.5]"), "Conversion of JSON Value: 1.5 to type: bfloat16", status=501),
        bad("uint16", _echo("uint16", "[1]"), "Conversion of JSON Value: 1 to type: uint16", status=501),
        bad("complex64", _echo("complex64", "[1]"), "Conversion of JSON Value: 1 to type: complex64", status=501),
        bad("half, rows", _echo("float16", "[1]", columns=False),
            "Failed to process element: 0 of 'instances' list. Error: UNIMPLEMENTED: Conversion of JSON Value: 1 to "
            "type: half"),
        bad("an answer of qint8", signed("as_qint8", '"instances": [1]'),
            "Failed to write JSON value for tensor type: qint8"),
    ]
)  # fmt: skip
def test_types(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@table(
    [
        bad("empty", "", _PARSE + "The document is empty"),
        bad("white space", "  ", _PARSE + "The document is empty. at offset: 2"),
        bad("no JSON", "instances = [1, 2]", _PARSE + "Invalid value. at offset: 0"),
        bad("unfinished", '{"instances": [1', _PARSE + "Missing a comma or ] after an array element. at offset: 16"),
        bad("trailing comma", '{"instances": [1],}', _PARSE + "Missing a name for object member. at offset: 18"),
        bad("zeros in front", '{"instances": [01]}',
            _PARSE + "Missing a comma or ] after an array element. at offset: 16"),
        bad("too big", '{"instances": [1e999]}', _PARSE + "Number too big to be stored in double. at offset: 15"),
        bad("lone surrogate", '{"instances": ["\\ud800"]}',
            _PARSE + "The surrogate pair in string is invalid. at offset: 16"),
        bad("array", "[1]", "JSON Value: [1] Is not object"),
        bad("string", '"x"', 'JSON Value: "x" Is not object'),
        bad("JSON comes before the model", "{", _PARSE + "Missing a name for object member. at offset: 1",
            path="/v1/models/nobody:predict"),
        bad("signature is no string", '{"signature_name": 5}',
            'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
            "'signature_name' key must be a string value."),
        bad("unknown signature", signed("nope", '"instances": [1]'),
            'Serving signature name: "nope" not found in signature def'),
        bad("neither key", "{}", "Missing 'inputs' or 'instances' key"),
        bad("both keys", '{"instances": [1], "inputs": [1]}',
            'JSON Value: {\n    "instances": [1],\n    "inputs": [1]\n} Not formatted correctly expecting only one of '
            "'inputs' or 'instances' keys to exist "),
        bad("no rows", '{"instances": []}',
            "JSON Value: {\n    \"instances\": []\n} No values in 'instances' array"),
        bad("rows are no list", '{"instances": {"x": 1}}', "JSON Value: {…"),
        bad("bare rows for two inputs", signed("two", '"instances": [1]'),
            "instances is a plain list, but expecting …"),
        bad("bare column for two inputs", signed("two", '"inputs": [1]'), "inputs is a plain value/list, but …"),
        bad("base64 for two inputs", signed("two", '"instances": [{"b64": "YQ=="}]'),
            element(0, 'JSON Value: {\n    "b64": "YQ=="\n} Type: Object is not of expected type: float')),
        bad("missing column", signed("two", '"inputs": {"a": [1]}'), "Missing named input: b in 'inputs' object."),
        bad("missing name", signed("two", '"instances": [{"a": 1}]'),
            "Failed to process element: 0 of 'instances' list. JSON object: {\n    \"a\": 1\n} keys must be equal to: "
            "a,b"),
        bad("other name", '{"instances": [{"y": 1}]}',
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
            "have named input: y"),
        bad("object, then value", '{"instances": [{"x": 1}, 2]}',
            "Expecting object but got list at item 1 of input list"),
        bad("value, then object", '{"instances": [2, {"x": 1}]}',
            "Expecting value/list but got object at item 1 of input list"),
        bad("ragged size", '{"instances": [[1, 2], [3]]}', element(1, "Expecting tensor size: 2 but got: 1")),
        bad("ragged shape", '{"instances": [1, [1]]}', element(1, "Expecting shape [] but got: [1]")),
        bad("ragged columns", '{"inputs": [[1, 2], [3]]}',
            "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        bad("value too high", '{"inputs": [[1], 2]}',
            "JSON Value: 2 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        bad("list too deep", '{"inputs": [1, [2]]}', "Encountered list at unexpected level: 1 expected < 1"),
        bad("string for a float", '{"instances": ["1"]}',
            element(0, 'JSON Value: "1" Type: String is not of expected type: float')),
        bad("b64 is not the only key", _echo("string", '[{"b64": "YQ==", "a": 1}]'),
            'JSON Value: {\n    "b64": "YQ==",\n    "a": 1\n} not formatted correctly for base64 data'),
        bad("no base64", _echo("string", '[{"b64": "?"}]'), "Unable to base64 decode"),
        bad("bytes that the model cannot take", signed("number", '"instances": [{"b64": "/w=="}]'),
            "StringToNumberOp could not correctly convert string: \ufffd\n…"),
        bad("the model fails", signed("divide", '"instances": [0]'), "Integer division by zero\n…"),
        bad("columns that do not fit together", signed("two", '"inputs": {"a": [1, 2], "b": [1, 2, 3]}'),
            "Incompatible shapes: [2] vs. [3]\n…"),
        bad("rows of a scalar", signed("mixed", '"instances": [1, 2]'),
            "Tensor name: total has no shape information "),
        bad("signature without inputs", signed("__saved_model_init_op", '"inputs": 1'),
            "Failed to get input map for signature: __saved_model_init_op"),
    ]
)  # fmt: skip
def test_refusals(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"]
)
def test_rows_and_columns_have_the_same_values(ports: Ports, dtype: str) -> None:
    assert ports.rest
    values = [[0, 1, 2], [3, 4, 5]]
    rows = ask(ports.rest, "POST", PREDICT, _echo(dtype, json.dumps(values), columns=False)).json()
    columns = ask(ports.rest, "POST", PREDICT, _echo(dtype, json.dumps(values))).json()
    assert rows["predictions"] == columns["outputs"] == values


def test_missing_values_come_back_as_missing_values(ports: Ports) -> None:
    assert ports.rest
    body = '{"instances": [NaN, 1, NaN]}'
    found = ask(ports.rest, "POST", PREDICT, body).json()["predictions"]
    assert [math.isnan(value) for value in found] == [True, False, True]


def test_nesting(ports: Ports) -> None:
    assert ports.rest
    deep, deeper = ("[" * depth + "1" + "]" * depth for depth in (1023, 1024))
    reply = ask(ports.rest, "POST", PREDICT, f'{{"instances": [1], "nested": {deep}}}')
    assert (reply.status, reply.json()) == (200, {"predictions": [4.5]})
    reply = ask(ports.rest, "POST", PREDICT, f'{{"instances": {deep}}}')
    assert (reply.status, reply.json()) == (400, {"error": element(0, "tensor parsing error: x")})
    for body in (f'{{"instances": [1], "nested": {deeper}}}', f'{{"instances": [NaN], "nested": {deeper}}} and more'):
        reply = ask(ports.rest, "POST", PREDICT, body)
        offset = body.index("[[") + 1023
        expected = f"JSON Parse error: More than 1024 levels of nesting. at offset: {offset}"
        assert (reply.status, reply.json()) == (400, {"error": expected})
