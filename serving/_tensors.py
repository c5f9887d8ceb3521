"""Arrays ↔ TensorProto, and features ↔ Example, without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from penstock.errors import ConfigError
from penstock.serving._rows import is_b64, plain_bytes
from penstock.serving.protos import message

_TYPES = {
    "float32": (1, "float_val"),
    "float64": (2, "double_val"),
    "int32": (3, "int_val"),
    "uint8": (4, "int_val"),
    "int16": (5, "int_val"),
    "int8": (6, "int_val"),
    "object": (7, "string_val"),
    "int64": (9, "int64_val"),
    "bool": (10, "bool_val"),
    "uint16": (17, "int_val"),
    "float16": (19, "half_val"),
    "uint32": (22, "uint32_val"),
    "uint64": (23, "uint64_val"),
}
"""NumPy's name of a type → TensorFlow's number of it, and the field of a TensorProto that holds its values."""
_LARGEST_BYTES = 1 << 31
"""A message is no longer."""
_NAMES = {number: name for name, (number, _) in _TYPES.items()}


def input_type(number: int, name: str) -> str:
    """Return NumPy's name of the type of an input; ``object`` for text.

    Raises:
        ConfigError: It is none that a request can carry.
    """
    if number not in _NAMES:
        raise ConfigError(
            f"the input {name!r} has a type that this client does not know", received=f"DataType {number}"
        )
    return _NAMES[number]


def to_proto(array: np.ndarray[Any, Any]) -> Any:
    """Return an array, texts as objects or as NumPy's own, as a TensorProto."""
    if array.dtype.kind in "OSU":
        proto = _empty(array, "object")
        proto.string_val.extend(plain_bytes(value) for value in array.ravel().tolist())
        return proto
    if array.dtype.name not in _TYPES:
        raise ConfigError("an array has a type that no request can carry", received=array.dtype.name)
    proto = _empty(array, array.dtype.name)
    proto.tensor_content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    return proto


def _empty(array: np.ndarray[Any, Any], name: str) -> Any:
    proto = message("tensorflow.TensorProto")(dtype=_TYPES[name][0])
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def from_proto(proto: Any, name: str) -> np.ndarray[Any, Any]:
    """Return the array of an output; texts are bytes in an array of objects.

    Raises:
        ValueError: It is no tensor, has a type that this client does not know, or stands for more than a message holds.
    """
    if proto.dtype not in _NAMES:
        raise ValueError(f"the output {name!r} has DataType {proto.dtype}")
    dtype = _NAMES[proto.dtype]
    shape = [dim.size for dim in proto.tensor_shape.dim]
    if proto.tensor_content and dtype != "object":
        return np.frombuffer(proto.tensor_content, dtype).reshape(shape)
    values = getattr(proto, _TYPES[dtype][1])
    if dtype == "float16":
        found = np.array(values, np.uint16).view(np.float16)
    else:
        found = np.empty(len(values), dtype)
        found[:] = values
    missing = math.prod(shape) - len(found)
    if missing * found.itemsize > _LARGEST_BYTES:
        raise ValueError(f"the output {name!r} has the shape {shape} and {len(found)} values")
    # The last value stands for all that are missing; without any, zero does.
    last = found[-1:] if len(found) else np.array([b"" if dtype == "object" else 0], dtype)
    return np.concatenate([found, np.repeat(last, missing)]).reshape(shape) if missing > 0 else found.reshape(shape)


def to_example(features: Mapping[str, Any]) -> Any:
    """Return features, each a value or a list of values of one kind, as an Example.

    Raises:
        ConfigError: A feature mixes kinds or holds something else.
    """
    example = message("tensorflow.Example")()
    for name, value in features.items():
        values = list(value) if isinstance(value, list | tuple | np.ndarray) else [value]
        _fill(example.features.feature[name], name, values)
    return example


def _fill(feature: Any, name: str, values: list[Any]) -> None:
    kinds = {_kind(value) for value in values}
    if len(kinds) > 1 or None in kinds:
        raise ConfigError(
            f"the feature {name!r} holds values that no feature can hold together",
            received=repr(values)[:80],
            expected='whole numbers, or numbers with a point, or texts and {"b64": "…"}',
        )
    if kinds == {"bytes_list"}:
        values = [plain_bytes(value) for value in values]
    for kind in kinds:
        getattr(feature, str(kind)).value.extend(_plain(values))


def _plain(values: Iterable[Any]) -> Iterable[Any]:
    """Return Python's own numbers, which is all that protobuf takes."""
    for value in values:
        plain = value.item() if isinstance(value, np.generic) else value
        yield int(plain) if isinstance(plain, bool) else plain


def _kind(value: Any) -> str | None:
    if isinstance(value, str | bytes) or is_b64(value):
        return "bytes_list"
    if isinstance(value, bool | int | np.integer | np.bool_):
        return "int64_list"
    return "float_list" if isinstance(value, float | np.floating) else None
