"""Arrays → the JSON of a predict reply, laid out as TensorFlow Serving lays it out.

Rows stand in one line, objects and columns have a line for each element. A floating-point number is the shortest text
that reads back as the same number of its type, whole ones end with ``.0``.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.kinds import data_type, type_name
from penstock.serving.rest.arrays import Array

_WRITABLE = frozenset(
    {"float", "double", "int8", "int16", "int32", "int64", "uint8", "uint32", "uint64", "bool", "string"}
)
_NUMPY = orjson.OPT_SERIALIZE_NUMPY


def encode(outputs: Mapping[str, Array], types: Mapping[str, int], *, rows: bool) -> bytes:
    """Return the reply to a predict request.

    Args:
        outputs: Output name → its array; strings as objects of type ``bytes``.
        types: Output name → the ``DataType`` that the signature names, where it is known.
        rows: Whether to write ``predictions``, one value a row, or else ``outputs``, one value an output.

    Raises:
        ServingError: INVALID_ARGUMENT: there are no outputs, JSON cannot carry the type of one, or rows were asked for
            and the outputs are no batches of one size.
    """
    if not outputs:
        raise _invalid("Cannot convert empty tensor map to JSON")
    if rows:
        return _predictions(outputs, types)
    for name, array in outputs.items():
        _check(array, types.get(name, 0))
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return b'{\n    "outputs": ' + _nested(name, array, 1, inline=False) + b"\n}"
    members = [quote(name.encode()) + b": " + _nested(name, outputs[name], 2, inline=False) for name in sorted(outputs)]
    return b'{\n    "outputs": {\n        ' + b",\n        ".join(members) + b"\n    }\n}"


def quote(text: bytes) -> bytes:
    """Return a string as JSON; bytes that are no UTF-8 stay what they are, as TensorFlow Serving leaves them."""
    try:
        return orjson.dumps(text.decode())
    except UnicodeDecodeError:
        marked = text.decode("utf-8", "surrogateescape")
        pieces = (piece if "\udc80" <= piece <= "\udcff" else orjson.dumps(piece)[1:-1].decode() for piece in marked)
        return b'"' + "".join(pieces).encode("utf-8", "surrogateescape") + b'"'


def numbers(array: Array) -> bytes:
    """Return an array of numbers or truth values as JSON without spaces."""
    text = orjson.dumps(np.ascontiguousarray(array), option=_NUMPY)
    if array.dtype.kind != "f":
        return text
    finite = np.isfinite(array)
    if finite.all():
        return text
    # Each number that JSON does not know was written as null.
    unusual = [b"NaN" if np.isnan(value) else b"Infinity" if value > 0 else b"-Infinity" for value in array[~finite]]
    pieces = text.split(b"null")
    return b"".join(piece for pair in zip(pieces, [*unusual, b""], strict=True) for piece in pair)


def _predictions(outputs: Mapping[str, Array], types: Mapping[str, int]) -> bytes:
    batch = _batch(outputs, types)
    if batch == 0:
        return b'{\n    "predictions": []\n}'
    if len(outputs) == 1:
        ((name, array),) = outputs.items()
        return b'{\n    "predictions": [' + b", ".join(_rows(name, array, 2)) + b"\n    ]\n}"
    names = sorted(outputs)
    columns = [[quote(name.encode()) + b": " + row for row in _rows(name, outputs[name], 3)] for name in names]
    objects = [b"{\n            " + b",\n            ".join(row) + b"\n        }" for row in zip(*columns, strict=True)]
    return b'{\n    "predictions": [\n        ' + b",\n        ".join(objects) + b"\n    ]\n}"


def _batch(outputs: Mapping[str, Array], types: Mapping[str, int]) -> int:
    size = None
    for name in sorted(outputs):
        array = outputs[name]
        if array.ndim == 0:
            raise _invalid(f"Tensor name: {name} has no shape information ")
        if size is not None and len(array) != size:
            raise _invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    for name, array in outputs.items():
        if size:
            _check(array, types.get(name, 0))
    return size or 0


def _rows(name: str, array: Array, depth: int) -> list[bytes]:
    """Return each row's value in one line."""
    if array.dtype.kind == "O" or array.size == 0:
        return [_nested(name, row, depth, inline=True) for row in array]
    opening, closing = b"[" * (array.ndim - 1), b"]" * (array.ndim - 1)
    text = numbers(array).replace(b",", b", ")[array.ndim : -array.ndim]
    return [opening + row + closing for row in text.split(closing + b", " + opening)]


def _nested(name: str, value: Array | bytes, depth: int, *, inline: bool) -> bytes:
    """Return an array as JSON that begins ``depth`` levels deep."""
    array = np.asarray(value, object if isinstance(value, bytes) else None)
    return _layout(_leaves(name, array, depth + array.ndim), array.shape, depth, inline=inline)


def _leaves(name: str, array: Array, depth: int) -> Sequence[bytes]:
    if array.size == 0:
        return []
    if array.dtype.kind != "O":
        return numbers(array.ravel())[1:-1].split(b",")
    if not name.endswith("_bytes"):
        return [quote(value) for value in array.ravel()]
    opening, closing = b'{\n%b"b64": "' % (b"    " * (depth + 1)), b'"\n%b}' % (b"    " * depth)
    return [opening + base64.b64encode(value) + closing for value in array.ravel()]


def _layout(leaves: Sequence[bytes], shape: tuple[int, ...], depth: int, *, inline: bool) -> bytes:
    if not shape:
        return leaves[0]
    if shape[0] == 0:
        return b"[]"
    if len(shape) == 1:
        items = leaves
    else:
        step = len(leaves) // shape[0]
        items = [
            _layout(leaves[start * step : (start + 1) * step], shape[1:], depth + 1, inline=inline)
            for start in range(shape[0])
        ]
    if inline:
        return b"[" + b", ".join(items) + b"]"
    line = b"\n" + b"    " * (depth + 1)
    return b"[" + line + (b"," + line).join(items) + b"\n" + b"    " * depth + b"]"


def _check(array: Array, declared: int) -> None:
    if array.size and (name := _type(array, declared)) not in _WRITABLE:
        raise _invalid(f"Failed to write JSON value for tensor type: {name}")


def _type(array: Array, declared: int) -> str:
    try:
        return type_name(data_type(array, declared))
    except ValueError:
        return str(array.dtype.name)


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
