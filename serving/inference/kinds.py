"""TensorFlow's types: their numbers and names, and how a ``TensorProto`` carries their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Kind:
    """One ``DataType``: its NumPy type and the field that carries its values.

    Args:
        name: TensorFlow's name in messages, e.g. ``float``; its ``DataType`` is ``DT_FLOAT``.
        dtype: The NumPy type of the array.
        field: The field of ``TensorProto``.
        carrier: The NumPy type of one entry of the field.
        tag: The field's tag on the wire if its packed form is the array's memory, else 0.
    """

    name: str
    dtype: np.dtype[Any]
    field: str
    carrier: np.dtype[Any]
    tag: int = 0


def _kind(name: str, dtype: Any, field: str, carrier: Any = None, *, tag: int = 0) -> Kind:
    return Kind(name, np.dtype(dtype), field, np.dtype(dtype if carrier is None else carrier), tag)


STRING = 7
KINDS = {
    1: _kind("float", np.float32, "float_val", tag=5 << 3 | 2),
    2: _kind("double", np.float64, "double_val", tag=6 << 3 | 2),
    3: _kind("int32", np.int32, "int_val"),
    4: _kind("uint8", np.uint8, "int_val", np.int32),
    5: _kind("int16", np.int16, "int_val", np.int32),
    6: _kind("int8", np.int8, "int_val", np.int32),
    STRING: _kind("string", object, "string_val"),
    8: _kind("complex64", np.complex64, "scomplex_val", np.float32),
    9: _kind("int64", np.int64, "int64_val"),
    10: _kind("bool", np.bool_, "bool_val"),
    14: _kind("bfloat16", ml_dtypes.bfloat16, "half_val", np.int32),
    17: _kind("uint16", np.uint16, "int_val", np.int32),
    18: _kind("complex128", np.complex128, "dcomplex_val", np.float64),
    19: _kind("half", np.float16, "half_val", np.int32),
    22: _kind("uint32", np.uint32, "uint32_val"),
    23: _kind("uint64", np.uint64, "uint64_val"),
}
_ONLY_ANSWERED = {
    11: _kind("qint8", np.int8, "int_val", np.int32),
    12: _kind("quint8", np.uint8, "int_val", np.int32),
    13: _kind("qint32", np.int32, "int_val"),
    15: _kind("qint16", np.int16, "int_val", np.int32),
    16: _kind("quint16", np.uint16, "int_val", np.int32),
    24: _kind("float8_e5m2", ml_dtypes.float8_e5m2, "float8_val", np.uint8),
    25: _kind("float8_e4m3fn", ml_dtypes.float8_e4m3fn, "float8_val", np.uint8),
    26: _kind("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "float8_val", np.uint8),
    27: _kind("float8_e4m3b11fnuz", ml_dtypes.float8_e4m3b11fnuz, "float8_val", np.uint8),
    28: _kind("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "float8_val", np.uint8),
    29: _kind("int4", ml_dtypes.int4, "int_val", np.int32),
    30: _kind("uint4", ml_dtypes.uint4, "int_val", np.int32),
}
"""Types that are written and not read: a session would take them for the integers that NumPy has them as."""
WRITTEN = _ONLY_ANSWERED | KINDS
_NUMBERS = {kind.dtype: number for number, kind in WRITTEN.items()}


def data_type(array: Array, declared: int = 0) -> int:
    """Return the number of the ``DataType`` of an array.

    Args:
        array: The array.
        declared: The ``DataType`` that the signature names, 0 for none. It tells a quantized integer, which a session
            hands out as a plain one, and is not believed where the array is of another type.

    Raises:
        ValueError: There is none.
    """
    kind = WRITTEN.get(declared)
    if kind and kind.dtype == array.dtype:
        return declared
    number = _NUMBERS.get(array.dtype, STRING if array.dtype.kind in "SU" else 0)
    if not number:
        raise ValueError(f"an array of {array.dtype} is no tensor")
    return number


def data_type_name(array: Array) -> str:
    """Return the name of the ``DataType`` of an array, e.g. ``DT_FLOAT``."""
    return f"DT_{WRITTEN[data_type(array)].name.upper()}"


def type_name(number: int) -> str:
    """Return what TensorFlow calls a ``DataType`` in its messages, e.g. ``float`` for 1."""
    kind = WRITTEN.get(number)
    return kind.name if kind else f"type {number}"
