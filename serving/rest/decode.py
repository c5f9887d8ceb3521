"""A predict request's document → the arrays that the signature takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest.arrays import Array, exact, only_numbers, quick, stack
from penstock.serving.rest.describe import show
from penstock.serving.rest.values import elements, is_b64


@dataclass(frozen=True)
class Request:
    """What a predict request holds.

    Attributes:
        inputs: Input name → its array.
        rows: Whether it came as ``instances``, and the reply is to be ``predictions``.
    """

    inputs: dict[str, Array]
    rows: bool


def decode(document: dict[str, Any], body: bytes, types: Mapping[str, int], signature: str | None) -> Request:
    """Return the arrays of a request.

    Args:
        document: The request.
        body: The text that it was read from.
        types: Name of each input of the signature → TensorFlow's number of its type.
        signature: The signature's name; None for the default.

    Raises:
        ServingError: INVALID_ARGUMENT or UNIMPLEMENTED, in TensorFlow Serving's words.
    """
    if not types:
        raise _invalid(f"Failed to get input map for signature: {signature or 'DEFAULT'}")
    if "instances" in document:
        return Request(_instances(_rows(document), _Numbers(document, body), types), rows=True)
    if "inputs" in document:
        return Request(_inputs(document["inputs"], _Numbers(document, body), types), rows=False)
    raise _invalid("Missing 'inputs' or 'instances' key")


class _Numbers:
    """Tells whether a request's values can only be numbers."""

    def __init__(self, document: dict[str, Any], body: bytes) -> None:
        self.body = body
        strings = (isinstance(value, str) for key, value in document.items() if key not in ("instances", "inputs"))
        self.outside = len(document) + sum(strings)

    def only(self, names: int) -> bool:
        """Whether there are no values but numbers beside ``names`` names of members."""
        return only_numbers(self.body, self.outside + names)


def _rows(document: dict[str, Any]) -> list[Any]:
    rows = document["instances"]
    if "inputs" in document:
        raise _invalid(
            f"JSON Value: {show(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            "keys to exist "
        )
    if not isinstance(rows, list):
        raise _invalid(f"JSON Value: {show(document)} Expecting 'instances' to be an list/array")
    if not rows:
        raise _invalid(f"JSON Value: {show(document)} No values in 'instances' array")
    return rows


def _instances(rows: list[Any], numbers: _Numbers, types: Mapping[str, int]) -> dict[str, Array]:
    if not isinstance(rows[0], dict) and len(types) > 1:
        raise _invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    if _names_tensors(rows[0]):
        return _quick_objects(rows, numbers, types) or _exact_rows(rows, types, objects=True)
    if len(types) == 1 and numbers.only(0):
        ((name, data_type),) = types.items()
        array = quick(rows, data_type)
        if array is not None:
            return {name: array}
    return _exact_rows(rows, types, objects=False)


def _quick_objects(rows: list[Any], numbers: _Numbers, types: Mapping[str, int]) -> dict[str, Array] | None:
    names = types.keys()
    if not numbers.only(len(rows) * len(types)) or not all(type(row) is dict and row.keys() == names for row in rows):
        return None
    arrays = {name: quick([row[name] for row in rows], data_type) for name, data_type in types.items()}
    found = {name: array for name, array in arrays.items() if array is not None}
    return found if len(found) == len(types) else None


def _exact_rows(rows: list[Any], types: Mapping[str, int], *, objects: bool) -> dict[str, Array]:
    columns: dict[str, _Column] = {}
    for number, row in enumerate(rows):
        if objects != _names_tensors(row):
            raise _invalid(
                f"Expecting object but got list at item {number} of input list"
                if objects
                else f"Expecting value/list but got object at item {number} of input list"
            )
        if objects:
            _add_object(columns, row, number, types)
        else:
            _add(columns, min(types), row, types, f"{number} of 'instances' list")
    return {name: column.array(len(rows)) for name, column in columns.items()}


def _add_object(columns: dict[str, _Column], row: dict[str, Any], number: int, types: Mapping[str, int]) -> None:
    for name, value in row.items():
        _add(columns, name, value, types, f"{number} key: {name} of 'instances' list")
    if row.keys() != types.keys():
        raise _invalid(
            f"Failed to process element: {number} of 'instances' list. JSON object: {show(row)} keys must be equal "
            f"to: {','.join(sorted(types))}"
        )


def _add(columns: dict[str, _Column], name: str, value: Any, types: Mapping[str, int], where: str) -> None:
    try:
        if name not in types:
            raise _invalid(f"JSON object: does not have named input: {name}")
        columns.setdefault(name, _Column(name, types[name])).add(value)
    except ServingError as error:
        # Whatever was wrong, also a type that JSON cannot carry, is now an invalid argument.
        raise _invalid(f"Failed to process element: {where}. Error: {error}") from error


class _Column:
    """The values that the rows have for one input."""

    def __init__(self, name: str, data_type: int) -> None:
        self.name = name
        self.data_type = data_type
        self.shape: tuple[int, ...] | None = None
        self.size = 0
        self.elements: list[Any] = []

    def add(self, value: Any) -> None:
        found, shape = elements(value, self.data_type, self.name)
        if self.shape is None:
            self.shape, self.size = shape, len(found)
        elif len(found) != self.size:
            raise _invalid(f"Expecting tensor size: {self.size} but got: {len(found)}")
        elif shape != self.shape:
            raise _invalid(f"Expecting shape {_printed(self.shape)} but got: {_printed(shape)}")
        self.elements += found

    def array(self, rows: int) -> Array:
        return stack(self.elements, self.data_type, (rows, *(self.shape or ())))


def _inputs(value: Any, numbers: _Numbers, types: Mapping[str, int]) -> dict[str, Array]:
    if _names_tensors(value):
        return _columns(value, numbers, types)
    if len(types) > 1:
        raise _invalid(
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map"
        )
    ((name, data_type),) = types.items()
    array = quick(value, data_type) if numbers.only(0) else None
    return {name: exact(value, data_type, name) if array is None else array}


def _columns(value: dict[str, Any], numbers: _Numbers, types: Mapping[str, int]) -> dict[str, Array]:
    only = numbers.only(len(value))
    arrays = {}
    for name, data_type in types.items():
        if name not in value:
            raise _invalid(f"Missing named input: {name} in 'inputs' object.")
        array = quick(value[name], data_type) if only else None
        arrays[name] = exact(value[name], data_type, name) if array is None else array
    return arrays


def _names_tensors(value: Any) -> bool:
    """Whether a value is an object of named tensors; ``{"b64": "…"}`` is a value like any other."""
    return isinstance(value, dict) and not is_b64(value)


def _printed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _invalid(message: str) -> ServingError:
    return ServingError(Code.INVALID_ARGUMENT, message)
