"""Rows and columns as the REST API has them ↔ one array an input or output."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np

from penstock.errors import ConfigError
from penstock.serving.errors import Code, ServingError

Arrays = dict[str, np.ndarray[Any, Any]]


def is_b64(value: Any) -> TypeGuard[Mapping[str, str]]:
    """Whether ``value`` is bytes, written as ``{"b64": "…"}``."""
    return isinstance(value, Mapping) and set(value) == {"b64"}


def plain_bytes(value: Any) -> bytes:
    """Return the bytes of a text, of bytes or of ``{"b64": "…"}``.

    Raises:
        ConfigError: It is something else, or no base64.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode()
    if is_b64(value):
        try:
            return base64.b64decode(value["b64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ConfigError("a b64 value is no base64", received=_shown(value["b64"])) from error
    raise ConfigError('a text input takes texts and {"b64": "…"}', received=_shown(value))


def columns_of_rows(rows: Sequence[Any], dtypes: Mapping[str, str]) -> Arrays:
    """Return the batch of each input.

    Args:
        rows: An object of all inputs each, or bare values for a single input.
        dtypes: Input name → NumPy's name of its type, ``object`` for text.

    Raises:
        ConfigError: There are no rows, one names other inputs, or they do not fit together.
    """
    if len(rows) == 0:
        raise ConfigError("there are no rows", expected="at least one")
    if not isinstance(rows[0], Mapping) or is_b64(rows[0]):
        return {_only(dtypes, "rows are bare values"): array(rows, _only_type(dtypes), _only(dtypes, ""))}
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping) or set(row) != set(dtypes):
            raise ConfigError(
                f"row {number} does not name exactly the inputs of the signature",
                received=", ".join(sorted(map(str, row))) if isinstance(row, Mapping) else _shown(row),
                expected=", ".join(sorted(dtypes)),
            )
    return {name: array([row[name] for row in rows], dtype, name) for name, dtype in dtypes.items()}


def columns(inputs: Any, dtypes: Mapping[str, str]) -> Arrays:
    """Return the batch of each input from columns, or from the bare batch of a single input.

    Raises:
        ConfigError: An input is missing, or a batch has another type or no shape.
    """
    if not isinstance(inputs, Mapping) or is_b64(inputs):
        return {_only(dtypes, "inputs is a bare batch"): array(inputs, _only_type(dtypes), _only(dtypes, ""))}
    missing = sorted(set(dtypes) - set(inputs))
    if missing:
        raise ConfigError(
            f"the inputs lack {', '.join(missing)}",
            received=", ".join(sorted(map(str, inputs))) or "nothing",
            expected=", ".join(sorted(dtypes)),
        )
    return {name: array(inputs[name], dtype, name) for name, dtype in dtypes.items()}


def array(value: Any, dtype: str, name: str) -> np.ndarray[Any, Any]:
    """Return nested lists as an array of exactly one type; whole numbers are never rounded ones.

    Raises:
        ConfigError: The lists are ragged, or hold what the type cannot.
    """
    if dtype == "object":
        return _texts(value, name)
    try:
        found = np.asarray(value)
    except ValueError as error:
        raise _ragged(name) from error
    wanted = np.dtype(dtype)
    if found.size == 0:
        return found.astype(wanted)
    kinds = {"b": "b", "i": "iu", "u": "iu", "f": "fiu"}.get(wanted.kind, wanted.kind)
    if found.dtype.kind in kinds:
        converted = found.astype(wanted)
        if wanted.kind not in "iu" or np.array_equal(converted, found):
            return converted
    raise ConfigError(f"the input {name!r} takes {dtype}", received=_shown(value))


def _texts(value: Any, name: str) -> np.ndarray[Any, Any]:
    """Return an array of bytes; its shape is that of the first value of each list."""
    flat: list[Any] = [value]
    shape: list[int] = []
    while flat and isinstance(flat[0], list | tuple | np.ndarray):
        if any(not isinstance(item, list | tuple | np.ndarray) or len(item) != len(flat[0]) for item in flat):
            raise _ragged(name)
        shape.append(len(flat[0]))
        flat = [inner for item in flat for inner in item]
    result = np.empty(len(flat), dtype=object)
    result[:] = [plain_bytes(item) for item in flat]
    return result.reshape(shape)


def _shown(value: Any) -> str:
    """Return the beginning of a value as who wrote it knows it: as JSON, where it can be."""
    return json.dumps(value, ensure_ascii=False, default=repr)[:80]


def _ragged(name: str) -> ConfigError:
    return ConfigError(f"the values of {name!r} do not fit into one batch", expected="lists of equal lengths")


def _only(dtypes: Mapping[str, str], what: str) -> str:
    if len(dtypes) != 1:
        raise ConfigError(f"{what}, and the signature has several inputs", expected=", ".join(sorted(dtypes)))
    return next(iter(dtypes))


def _only_type(dtypes: Mapping[str, str]) -> str:
    return next(iter(dtypes.values()))


def predictions(outputs: Arrays) -> list[Any]:
    """Return one prediction a row; a single output loses its name.

    Raises:
        ServingError: The outputs are no batches of one size; code and message are those of the REST API.
    """
    size: int | None = None
    for name, value in sorted(outputs.items()):
        if value.ndim == 0:
            raise ServingError(Code.INVALID_ARGUMENT, f"Tensor name: {name} has no shape information ")
        if size not in (None, len(value)):
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Tensor name: {name} has inconsistent batch size: {len(value)} expecting: {size}",
            )
        size = len(value)
    plain = {name: listed(value, name) for name, value in sorted(outputs.items())}
    if len(plain) == 1:
        return list(next(iter(plain.values())))
    return [dict(zip(plain, row, strict=True)) for row in zip(*plain.values(), strict=True)]


def named_outputs(outputs: Arrays) -> Any:
    """Return the batch of each output; a single output loses its name."""
    plain = {name: listed(value, name) for name, value in sorted(outputs.items())}
    return next(iter(plain.values())) if len(plain) == 1 else plain


def listed(value: np.ndarray[Any, Any], name: str) -> Any:
    """Return an array as nested lists; float32 as the shortest decimals that mean it, as the REST API prints them."""
    if value.dtype == object:
        return _listed_texts(value.tolist(), as_bytes=name.endswith("_bytes"))
    if value.dtype.kind == "f" and value.dtype.itemsize < 8:
        return value.astype(str).astype(np.float64).tolist()
    return value.tolist()


def _listed_texts(value: Any, *, as_bytes: bool) -> Any:
    if isinstance(value, list):
        return [_listed_texts(item, as_bytes=as_bytes) for item in value]
    try:
        return {"b64": base64.b64encode(value).decode()} if as_bytes else value.decode()
    except UnicodeDecodeError:
        return _listed_texts(value, as_bytes=True)
