from __future__ import annotations

import json
import math
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest import parser
from penstock.serving.rest.parser import MAX_DEPTH, parse
from penstock.serving.rest.read import LONGEST_EXPLAINED, read, signature_name


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b" \n", "JSON Parse error: The document is empty. at offset: 2"),
        (b"]", "JSON Parse error: The document is empty. at offset: 0"),
        (b"\0{}", "JSON Parse error: The document is empty. at offset: 0"),
        (b"instances = [1, 2]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"a":}', "JSON Parse error: Invalid value. at offset: 5"),
        (b'{"a": tru}', "JSON Parse error: Invalid value. at offset: 9"),
        (b'{"a": nul', "JSON Parse error: Invalid value. at offset: 9"),
        (b'{"a": Infinite}', "JSON Parse error: Invalid value. at offset: 13"),
        (b'{"a": NAN}', "JSON Parse error: Invalid value. at offset: 7"),
        (b'{"a": +1}', "JSON Parse error: Invalid value. at offset: 6"),
        (b'{"a": -}', "JSON Parse error: Invalid value. at offset: 7"),
        (b"[", "JSON Parse error: Invalid value. at offset: 1"),
        (b"[1,]", "JSON Parse error: Invalid value. at offset: 3"),
        (b"{a: 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"a": 1,}', "JSON Parse error: Missing a name for object member. at offset: 8"),
        (b'{"a" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 5"),
        (b'{"a": 1', "JSON Parse error: Missing a comma or } after an object member. at offset: 7"),
        (b'{"a": [1 2]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 9"),
        (b'{"a": [01]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 8"),
        (b'{"a', "JSON Parse error: Missing a closing quotation mark in string. at offset: 3"),
        (b'{"a\n": 1}', "JSON Parse error: Invalid encoding in string. at offset: 3"),
        (b'{"a\\x": 1}', "JSON Parse error: Invalid escape character in string. at offset: 3"),
        (b'{"a\\u12": 1}', "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: 3"),
        (b'{"\\ud800": 1}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 2"),
        (b'{"\\udc00": 1}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 2"),
        (b'{"\\ud800\\u0061": 1}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 2"),
        (b'{"a": 1.}', "JSON Parse error: Miss fraction part in number. at offset: 8"),
        (b'{"a": 1e}', "JSON Parse error: Miss exponent in number. at offset: 8"),
        (b'{"a": 1e999}', "JSON Parse error: Number too big to be stored in double. at offset: 6"),
        (b'{"a": [NaN, 1e999]}', "JSON Parse error: Number too big to be stored in double. at offset: 12"),
        ('{"ü": x}'.encode(), "JSON Parse error: Invalid value. at offset: 7"),
        (b'{"\xff": x}', "JSON Parse error: Invalid value. at offset: 6"),
        (b"[1]", "JSON Value: [1] Is not object"),
        (b"1", "JSON Value: 1 Is not object"),
        (b"null", "JSON Value: null Is not object"),
        (b'"{}"', 'JSON Value: "{}" Is not object'),
    ],
)
def test_what_is_no_request(body: bytes, message: str) -> None:
    with pytest.raises(ServingError) as caught:
        read(body)
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, message)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, 1.0, -0, true, null, "x"]}', [1, 1.0, 0, True, None, "x"]),
        (b'{"a": [Infinity, -Infinity]}', [math.inf, -math.inf]),
        (b'{"a": [Inf, -Inf, 2]}', [math.inf, -math.inf, 2]),
        (b'\xef\xbb\xbf{"a": 1}', 1),
        (b'{"a": 1} and more', 1),
        (b'{"a": 1, "a": 2} x', 2),
        (b'{"a": 1, "a": 2}', 2),
        (b'{"a": 1, "a": Inf}', math.inf),
        (b'{"a": [0.1234567890123456789, 1e300]} x', [0.12345678901234568, 1e300]),
        (b'{"a": "\\ud83d\\ude00\\n\\/"} x', "😀\n/"),
        (b'{"a": "\xff"}', "\udcff"),
        (b'{"a": [18446744073709551615, 18446744073709551616, NaN0]}'.replace(b", NaN0", b""), [2**64 - 1, 2.0**64]),
        (b'{"a": [18446744073709551615, 18446744073709551616]} x', [2**64 - 1, 2.0**64]),
        (b'{"a": {}, "b": []} x', {}),
    ],
)
def test_what_is_accepted(body: bytes, value: Any) -> None:
    found = read(body)["a"]
    assert found == value
    assert json.dumps(found) == json.dumps(value)


@pytest.mark.parametrize("text", [b"NaN", b"-NaN", b"[NaN]", b'["\\u00fc", NaN]'])
def test_not_a_number(text: bytes) -> None:
    found = read(b'{"a": ' + text + b"}")["a"]
    assert math.isnan(found[-1] if isinstance(found, list) else found)


@pytest.mark.parametrize("value", [b"1", b"NaN", b"Inf", b"1 } and more"])
def test_the_deepest_nesting(value: bytes) -> None:
    for opening, closing in ((b"[", b"]"), (b'{"a":', b"}")):
        deep = opening * (MAX_DEPTH - 1) + value.removesuffix(b"} and more") + closing * (MAX_DEPTH - 1)
        after = value[2:]
        assert read(b'{"a": ' + deep + b"}" + after).keys() == {"a"}
        with pytest.raises(ServingError) as caught:
            read(b'{"a": ' + opening + deep + closing + b"}" + after)
        offset = len(b'{"a": ' + opening * (MAX_DEPTH - 1))
        assert caught.value.message == f"JSON Parse error: More than 1024 levels of nesting. at offset: {offset}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"1] x", "Expecting ',' delimiter at offset: {garbage}"),
        (b"oops]}", "Expecting value at offset: {at}"),
        (b"1e999]}", "number is infinity when parsed as double at offset: {at}"),
        (b'"\xff"]}', "Invalid UTF-8 at offset: {after}"),
        (b"[" * 100_000, "depth limit exceeded at offset: {deep}"),
        (b"[" * 2000 + b"NaN" + b"]" * 2000 + b"]} and more", "depth limit exceeded at offset: {deep}"),
    ],
)
def test_the_slow_reader_is_given_no_large_body(text: bytes, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "parse", None)
    start = b'{"ab": [' + b"1," * (LONGEST_EXPLAINED // 2)
    at = len(start)
    places = {"at": at, "after": at + 1, "garbage": at + 3, "deep": at + 1023}
    with pytest.raises(ServingError) as caught:
        read(start + text)
    assert caught.value.message == "JSON Parse error: " + message.format(**places)


def test_a_large_body_may_hold_what_only_it_takes_from_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "parse", None)
    start = b'{"a": [' + b"1," * (LONGEST_EXPLAINED // 2)
    assert math.isnan(read(start + b"NaN]} and more")["a"][-1])
    assert read(b"\xef\xbb\xbf" + start + b'"\\ud83d\\ude00"]}')["a"][-1] == "😀"


@pytest.mark.parametrize(
    ("document", "name"), [({}, None), ({"signature_name": ""}, None), ({"signature_name": "s"}, "s")]
)
def test_the_signature(document: dict[str, Any], name: str | None) -> None:
    assert signature_name(document) == name


def test_a_signature_that_is_no_string() -> None:
    with pytest.raises(ServingError) as caught:
        signature_name({"signature_name": 5})
    assert caught.value.message == (
        'JSON Value: {\n    "signature_name": 5\n} not formatted correctly. '
        "'signature_name' key must be a string value."
    )


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)  # fmt: skip


@given(_json)
def test_both_readers_read_the_same(value: Any) -> None:
    body = orjson.dumps(value)
    assert parse(body) == orjson.loads(body)
    assert parse(json.dumps(value).encode()) == value


@given(st.binary(max_size=40) | st.text(alphabet='{}[]:,"\\ue-+.0 1tfnNaIiy', max_size=30).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    refusal = None
    try:
        read(body)
    except ServingError as error:
        refusal = error
    assert refusal is None or refusal.code == Code.INVALID_ARGUMENT
