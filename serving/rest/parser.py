"""A JSON reader that takes what TensorFlow Serving takes, and says what is wrong, and where, in the same words.

It is slow, about a second a megabyte, and used only for what the fast readers refuse: wrong JSON, ``Inf``, bytes that
are no UTF-8.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from penstock.serving.errors import Code, ServingError

MAX_DEPTH = 1024
"""Lists and objects within one another; orjson's own limit. TensorFlow Serving has none."""

_SPACE = re.compile(r"[ \n\r\t]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"\.([0-9]*)")
_EXPONENT = re.compile(r"[eE][+-]?([0-9]*)")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_HEX = re.compile(r"[0-9a-fA-F]{4}")
_ESCAPES = {'"': '"', "/": "/", "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LITERALS = {"n": ("null", None), "t": ("true", True), "f": ("false", False)}
_NO_VALUE = frozenset({"", "]", "}", ",", ":"})
_INTEGERS = range(-(2**63), 2**64)

_EMPTY = "The document is empty."
_INVALID = "Invalid value."
_NO_NAME = "Missing a name for object member."
_NO_COLON = "Missing a colon after a name of object member."
_NO_CURLY = "Missing a comma or } after an object member."
_NO_SQUARE = "Missing a comma or ] after an array element."
_NO_QUOTE = "Missing a closing quotation mark in string."
_BAD_ENCODING = "Invalid encoding in string."
_BAD_ESCAPE = "Invalid escape character in string."
_BAD_HEX = "Incorrect hex digit after \\u escape in string."
_BAD_SURROGATE = "The surrogate pair in string is invalid."
_NO_FRACTION = "Miss fraction part in number."
_NO_EXPONENT = "Miss exponent in number."
_TOO_DEEP = f"More than {MAX_DEPTH} levels of nesting."
_TOO_BIG = "Number too big to be stored in double."


def parse(body: bytes) -> Any:
    """Return the value that a JSON text begins with; what follows it is ignored.

    Bytes that are no UTF-8 become lone surrogates, which ``surrogateescape`` turns back into the bytes.

    Raises:
        ServingError: INVALID_ARGUMENT: it is no JSON; the message ends with the offset in bytes.
    """
    return _Parser(body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")).document()


def integer(text: str) -> int | float:
    """Return a number without fraction and exponent; one that no integer of 64 bits can be is a double.

    Raises:
        OverflowError: It is too large for a double as well.
    """
    # Python would refuse to read thousands of digits.
    return int(text) if len(text) <= 20 and int(text) in _INTEGERS else real(text)


def real(text: str) -> float:
    """Return a number as a double.

    Raises:
        OverflowError: It is too large.
    """
    number = float(text)
    if math.isinf(number):
        raise OverflowError(f"{text[:40]} is no double")
    return number


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def document(self) -> Any:
        """Read without recursion: a client must not be able to exhaust the stack."""
        if self.next() in _NO_VALUE:
            raise self.error(_EMPTY)
        open_ones: list[Iterator[Any]] = []
        value = self.value(open_ones)
        while open_ones:
            try:
                next(open_ones[-1])
            except StopIteration:
                open_ones.pop()
        return value

    def value(self, open_ones: list[Iterator[Any]]) -> Any:
        """Return a scalar, or an empty container whose filler is put on top of ``open_ones``."""
        char = self.peek()
        if char in ("{", "[") and len(open_ones) >= MAX_DEPTH:
            raise self.error(_TOO_DEEP)
        if char == "{":
            members: dict[str, Any] = {}
            open_ones.append(self.members(members, open_ones))
            return members
        if char == "[":
            items: list[Any] = []
            open_ones.append(self.items(items, open_ones))
            return items
        if char == '"':
            return self.string()
        if char in _LITERALS and char:
            return self.literal(*_LITERALS[char])
        return self.number()

    def items(self, items: list[Any], open_ones: list[Iterator[Any]]) -> Iterator[None]:
        """Fill a list. Each yield lets the container that was just met be read first."""
        self.at += 1
        if self.next() == "]":
            self.at += 1
            return
        while True:
            if self.next() in _NO_VALUE:
                raise self.error(_INVALID)
            items.append(self.value(open_ones))
            yield
            end = self.next()
            if end not in (",", "]"):
                raise self.error(_NO_SQUARE)
            self.at += 1
            if end == "]":
                return

    def members(self, members: dict[str, Any], open_ones: list[Iterator[Any]]) -> Iterator[None]:
        """Fill an object. Of a name that comes twice the last value counts, as for the fast readers."""
        self.at += 1
        if self.next() == "}":
            self.at += 1
            return
        while True:
            if self.next() != '"':
                raise self.error(_NO_NAME)
            name = self.string()
            if self.next() != ":":
                raise self.error(_NO_COLON)
            self.at += 1
            if self.next() in _NO_VALUE:
                raise self.error(_INVALID)
            members[name] = self.value(open_ones)
            yield
            end = self.next()
            if end not in (",", "}"):
                raise self.error(_NO_CURLY)
            self.at += 1
            if end == "}":
                return

    def literal(self, word: str, value: Any) -> Any:
        for letter in word:
            if self.peek() != letter:
                raise self.error(_INVALID)
            self.at += 1
        return value

    def number(self) -> int | float:
        start = self.at
        match = _NUMBER.match(self.text, start)
        if match is None:
            return self.unusual_number()
        self.at = match.end()
        whole = self.part(_FRACTION, _NO_FRACTION) + self.part(_EXPONENT, _NO_EXPONENT) == 0
        text = self.text[start : self.at]
        try:
            return integer(text) if whole else real(text)
        except OverflowError as error:
            raise self.error(_TOO_BIG, start) from error

    def part(self, pattern: re.Pattern[str], missing: str) -> int:
        """Step over a fraction or an exponent, and return its length; 0 if there is none."""
        match = pattern.match(self.text, self.at)
        if match is None:
            return 0
        self.at = match.end()
        if not match[1]:
            raise self.error(missing)
        return len(match[0])

    def unusual_number(self) -> float:
        """Read NaN, Inf or Infinity, perhaps with a sign."""
        sign = -1.0 if self.peek() == "-" else 1.0
        if sign < 0:
            self.at += 1
        if self.peek() == "N":
            return float(self.literal("NaN", math.nan))
        self.literal("Inf", math.inf)
        if self.peek() == "i":
            self.literal("inity", math.inf)
        return sign * math.inf

    def string(self) -> str:
        self.at += 1
        pieces = []
        while True:
            match = _PLAIN.match(self.text, self.at)
            assert match is not None  # noqa: S101  The pattern matches nothing, too.
            pieces.append(match[0])
            self.at = match.end()
            char = self.peek()
            if char == '"':
                self.at += 1
                return "".join(pieces)
            if char in ("", "\0"):
                raise self.error(_NO_QUOTE)
            if char != "\\":
                raise self.error(_BAD_ENCODING)
            pieces.append(self.escape())

    def escape(self) -> str:
        start = self.at
        self.at += 2
        char = self.text[start + 1 : start + 2]
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char != "u":
            raise self.error(_BAD_ESCAPE, start)
        code = self.hex(start)
        if 0xD800 <= code <= 0xDFFF:
            if code >= 0xDC00 or self.text[self.at : self.at + 2] != "\\u":
                raise self.error(_BAD_SURROGATE, start)
            self.at += 2
            low = self.hex(start)
            if not 0xDC00 <= low <= 0xDFFF:
                raise self.error(_BAD_SURROGATE, start)
            code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
        return chr(code)

    def hex(self, start: int) -> int:
        match = _HEX.match(self.text, self.at)
        if match is None:
            raise self.error(_BAD_HEX, start)
        self.at = match.end()
        return int(match[0], 16)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def next(self) -> str:
        """Step over white space and return the character there; nothing at the end, which a zero byte is as well."""
        match = _SPACE.match(self.text, self.at)
        assert match is not None  # noqa: S101  The pattern matches nothing, too.
        self.at = match.end()
        char = self.peek()
        return "" if char == "\0" else char

    def error(self, reason: str, at: int | None = None) -> ServingError:
        before = self.text[: self.at if at is None else at]
        offset = len(before.encode("utf-8", "surrogateescape"))
        return ServingError(Code.INVALID_ARGUMENT, f"JSON Parse error: {reason} at offset: {offset}")
