"""Values of a step's ``with``, checked field by field against their types, protos included."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from penstock.closest import closest, did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.catalog import Parameter, ValueType, load_protos
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.config.remedies import remedy_for
from penstock.pipelines.config.words import Path, one_of, quoted, where
from penstock.pipelines.static_import import locate


def check_parameters(
    document: Document, path: Path, given: Mapping[str, Any], declared: Mapping[str, Parameter]
) -> Iterator[Problem]:
    """Yield what is wrong with a step's ``with``.

    Args:
        document: The config, for locations.
        path: Where ``given`` stands, such as ``("steps", "trainer", "with")``.
        given: Parameter name → value, as written.
        declared: Parameter name → type.
    """
    for name, value in given.items():
        if name not in declared:
            yield _unknown(document, (*path, name), f"unknown key {quoted(name)}{where(path, 'in')}", declared)
        elif value is not None or declared[name].required:
            yield from check_value(document, (*path, name), value, declared[name].type)
    misspelt = {closest(name, declared) for name in given if name not in declared}
    for name, parameter in declared.items():
        if parameter.required and name not in given and name not in misspelt:
            message = f"missing required key '{name}'{where(path, 'in')}"
            yield document.problem(path, message, key=True, expected=_expected(parameter.type))


def check_value(document: Document, path: Path, value: Any, expected: ValueType) -> Iterator[Problem]:
    """Yield what is wrong with one value; ``path`` says where it stands."""
    match expected.kind:
        case "list":
            yield from _check_list(document, path, value, expected)
        case "map":
            yield from _check_map(document, path, value, expected)
        case "proto":
            yield from _check_message(document, path, value, expected)
        case "function":
            yield from _check_function(document, path, value)
        case "enum":
            is_number = isinstance(value, int) and not isinstance(value, bool)
            allowed = expected.values.values() if is_number else expected.values.keys()
            if not isinstance(value, int | str) or value not in allowed:
                yield _wrong(document, path, value, expected, did_you_mean(str(value), expected.values))
        case "any":
            pass
        case _:
            if not _is_scalar(value, expected.kind):
                yield _wrong(document, path, value, expected)


def _is_scalar(value: Any, kind: str) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str)


def _check_list(document: Document, path: Path, value: Any, expected: ValueType) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield _wrong(document, path, value, expected)
        return
    for index, item in enumerate(value):
        yield from check_value(document, (*path, index), item, expected.item or ValueType("any"))


def _check_map(document: Document, path: Path, value: Any, expected: ValueType) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield _wrong(document, path, value, expected)
        return
    for key, item in value.items():
        yield from check_value(document, (*path, key), item, expected.item or ValueType("any"))


def _check_message(document: Document, path: Path, value: Any, expected: ValueType) -> Iterator[Problem]:
    message = load_protos()[expected.message or ""]
    fields = {name: ValueType.from_json(entry) for name, entry in message["fields"].items()}
    short = (expected.message or "").rpartition(".")[2]
    if not isinstance(value, dict):
        yield _wrong(document, path, value, expected)
        return
    for name, item in value.items():
        if name not in fields:
            unknown = f"unknown field {quoted(name)}{where(path, 'in')} ({short})"
            yield _unknown(document, (*path, name), unknown, fields)
        elif item is not None:
            yield from check_value(document, (*path, name), item, fields[name])
    for oneof, members in message.get("oneofs", {}).items():
        chosen = [name for name in members if value.get(name) is not None]
        if len(chosen) > 1:
            yield document.problem(
                (*path, chosen[1]),
                f"only one of {' and '.join(chosen)} can be set{where(path, 'in')} ({short}, '{oneof}')",
                key=True,
                hint=f"remove {chosen[1]} or {chosen[0]}",
            )


def _check_function(document: Document, path: Path, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str):
        yield _wrong(document, path, value, ValueType("function"))
        return
    yield from check_function(document, path, value)


def check_function(document: Document, path: Path, import_path: str) -> Iterator[Problem]:
    """Yield what is wrong with the import path of a user's function, as far as its source tells."""
    try:
        located = locate(import_path, document.project)
    except ConfigError as error:
        yield document.problem(path, error.what, received=error.received, expected=error.expected, hint=error.hint)
        return
    if located.kind == "value":
        yield document.problem(
            path,
            f"'{import_path}' is not a function",
            received="a constant",
            expected="a function",
            hint="name another",
        )


def _unknown(document: Document, path: Path, message: str, allowed: Mapping[str, Any]) -> Problem:
    return document.problem(
        path,
        message,
        key=True,
        expected=one_of(allowed),
        hint=did_you_mean(str(path[-1]), allowed),
    )


def _wrong(document: Document, path: Path, value: Any, expected: ValueType, hint: str | None = None) -> Problem:
    words, received = _expected(expected), document.shown(path)
    return document.problem(
        path,
        f"expected {words}, received {received}{where(path, 'at')}",
        received=received,
        expected=words,
        hint=hint or _remedy(expected, value),
    )


def _expected(expected: ValueType) -> str:
    words = {"str": "text", "list": "a list", "map": "a mapping", "proto": "a mapping"}
    return f"one of {', '.join(expected.values)}" if expected.values else words.get(expected.kind, str(expected))


def _remedy(expected: ValueType, value: Any) -> str | None:
    if expected.kind == "proto":
        fields = load_protos()[expected.message or ""]["fields"]
        return f"its keys are {', '.join(fields)}" if fields else "write {}"
    if expected.kind == "list" and isinstance(value, dict):
        return "put it in a list: begin its first line with '- ', or put [ ] around it"
    return remedy_for(_expected(expected), value)


def to_message_data(value: Any, expected: ValueType) -> Any:
    """Turn a checked value into what protobuf's JSON reader takes: JSON text where a text field holds JSON."""
    if expected.kind == "proto":
        message = load_protos()[expected.message or ""]
        types = {name: ValueType.from_json(entry) for name, entry in message["fields"].items()}
        return {name: to_message_data(item, types[name]) for name, item in value.items() if item is not None}
    if expected.kind == "list":
        return [to_message_data(item, expected.item or ValueType("any")) for item in value]
    if expected.kind == "map":
        return {str(key): to_message_data(item, expected.item or ValueType("any")) for key, item in value.items()}
    if expected.kind == "any" and isinstance(value, dict):
        return json.dumps(value)
    return value
