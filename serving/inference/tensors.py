"""Tensors on the wire to NumPy arrays and back, read as TensorFlow's ``Tensor::FromProto`` reads them.

``tf.make_ndarray`` and ``tf.make_tensor_proto`` do it too, at ten times the cost for the small tensors of a request,
and differently: they refuse what the model server accepts (more values than the shape holds) and the reverse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from penstock.serving.inference.kinds import KINDS, STRING, WRITTEN, Array, Kind, data_type

_MOST_VALUES = (1 << 63) - 1
"""TensorFlow counts them in an int64."""
_STRING_BYTES = 24
"""What TensorFlow keeps for a string besides its bytes."""

_MANY = 64
"""Values from which copying the packed bytes out of a message beats reading them number by number."""


def to_array(proto: Any) -> Array:
    """Return the array that a ``TensorProto`` describes.

    As in TensorFlow, values beyond the shape are ignored, the last value fills up what is missing, and no value at all
    means zeros. Strings become an array of ``bytes`` objects.

    Args:
        proto: A ``TensorProto``; how much memory it asks for, :func:`unsent_bytes` has told.

    Returns:
        The array; it may be read-only, and share memory with the message.

    Raises:
        ValueError: It describes no tensor that a model can be given.
    """
    kind = KINDS.get(proto.dtype)
    if kind is None:
        raise ValueError(f"tensors of type {proto.dtype} are not supported")
    shape = [dim.size for dim in proto.tensor_shape.dim]
    count = _count(shape)
    if count is None:
        raise ValueError(f"no tensor has the shape {shape}")
    if count == 0:
        return np.empty(shape, kind.dtype)
    content = proto.tensor_content
    if content:
        return _from_content(kind, content, count).reshape(shape)
    return _from_values(kind, proto, count).reshape(shape)


def unsent_bytes(proto: Any) -> int:
    """Return the bytes of the values that a ``TensorProto`` stands for and has not.

    Three bytes can say "a million million zeros", and a long string can be repeated as often. Values that were sent
    take at most eight times their bytes in the message.

    Args:
        proto: A ``TensorProto``. One that is no tensor has none: :func:`to_array` refuses it.
    """
    if proto.tensor_content:
        return 0
    kind = KINDS.get(proto.dtype)
    if kind is None:
        return 0
    values = getattr(proto, kind.field)
    sent = len(values) // 2 if kind.dtype.kind == "c" else len(values)
    unsent = (_count([dim.size for dim in proto.tensor_shape.dim]) or 0) - sent
    if unsent <= 0:
        return 0
    if kind.dtype == object:
        return unsent * (_STRING_BYTES + (len(values[-1]) if sent else 0))
    return unsent * kind.dtype.itemsize


def fill(proto: Any, array: Array, declared: int = 0, *, as_content: bool = False) -> None:
    """Write an array into an empty ``TensorProto``.

    Args:
        proto: The message.
        array: Any array that a session returns.
        declared: See :func:`data_type`.
        as_content: Write ``tensor_content`` instead of the field of the type (``float_val``, …).

    Raises:
        ValueError: The protocol has no tensor of this type.
    """
    number = data_type(array, declared)
    kind = WRITTEN[number]
    proto.dtype = number
    # A scalar's shape has no sizes, but is there.
    proto.tensor_shape.SetInParent()
    add = proto.tensor_shape.dim.add
    for size in array.shape:
        add(size=size)
    if as_content and number != STRING:
        proto.tensor_content = array.tobytes()
    elif kind.tag:
        data = array.tobytes()
        proto.MergeFromString(bytes((kind.tag, *_varint(len(data)))) + data)
    elif kind.field == "float8_val":
        proto.float8_val = array.tobytes()
    else:
        getattr(proto, kind.field).extend(_values(kind, array))


def strings(values: Sequence[bytes]) -> Array:
    """Return a vector of ``bytes`` objects, as a session takes strings."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _count(shape: list[int]) -> int | None:
    """Return how many values a shape has; None if it is none."""
    count = math.prod(shape)
    return count if count <= _MOST_VALUES and (not shape or min(shape) >= 0) else None


def _from_content(kind: Kind, content: bytes, count: int) -> Array:
    if kind.dtype == object:
        return strings(_string_list(content, count))
    if len(content) != count * kind.dtype.itemsize:
        raise ValueError(f"{len(content)} bytes are not {count} values of type {kind.name}")
    return np.frombuffer(content, kind.dtype)


def _from_values(kind: Kind, proto: Any, count: int) -> Array:
    values = getattr(proto, kind.field)
    if kind.dtype == object:
        return strings(_fitted(list(values), count, b""))
    if kind.tag and len(values) >= _MANY:
        array = np.frombuffer(_packed(proto, kind.tag), kind.carrier)
    else:
        array = np.fromiter(values, kind.carrier, len(values))
    if kind.dtype.kind == "c":
        array = array[: len(array) // 2 * 2].view(kind.dtype)
    elif kind.field == "half_val":
        array = array.astype(np.uint16).view(kind.dtype)
    elif kind.carrier != kind.dtype:
        array = array.astype(kind.dtype)
    return array if len(array) == count else _resized(array, count)


def _resized(array: Array, count: int) -> Array:
    if len(array) > count:
        return array[:count]
    result = np.empty(count, array.dtype)
    result[: len(array)] = array
    result[len(array) :] = array[-1] if len(array) else 0
    return result


def _fitted(values: list[bytes], count: int, default: bytes) -> list[bytes]:
    return values[:count] + [values[-1] if values else default] * (count - len(values))


def _packed(proto: Any, tag: int) -> bytes:
    """Return the packed bytes of a field: the message is written out and cut, one copy instead of a call a number."""
    data: bytes = proto.SerializeToString()
    position = 0
    while position < len(data):
        found = data[position]
        length, position = _read_varint(data, position + 1)
        if found & 7 == 2:
            if found == tag:
                return data[position : position + length]
            position += length
    raise AssertionError(f"a message without field {tag >> 3}")


def _string_list(content: bytes, count: int) -> list[bytes]:
    """Read the form of string tensors in ``tensor_content``: all lengths, then all bytes."""
    lengths, position = [], 0
    for _ in range(count):
        length, position = _read_varint(content, position)
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError(f"{len(content)} bytes are not {count} strings")
    values = []
    for length in lengths:
        values.append(content[position : position + length])
        position += length
    return values


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise ValueError("the bytes end within a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number has more than 64 bits")


def _varint(value: int) -> bytes:
    result = bytearray()
    while value >= 0x80:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def _values(kind: Kind, array: Array) -> list[Any]:
    flat = array.ravel()
    if kind.dtype == object:
        return [value if isinstance(value, bytes) else str(value).encode() for value in flat.tolist()]
    if kind.dtype.kind == "c":
        flat = flat.view(kind.carrier)
    elif kind.field == "half_val":
        flat = flat.view(np.uint16)
    elif kind.carrier != kind.dtype:
        flat = flat.astype(kind.carrier)
    return flat.tolist()
