"""The rows of a request, as a person writes them: a JSON list, one row a line, or the body of a REST request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigError


@dataclass(frozen=True)
class Body:
    """What to ask about: either rows or columns."""

    rows: list[Any] | None = None
    columns: Any = None

    def examples(self) -> list[Mapping[str, Any]]:
        """Return the rows as the examples of a classification or regression.

        Raises:
            ConfigError: They are columns, or a row is no object of features.
        """
        for number, row in enumerate(self.rows or (), start=1):
            if not isinstance(row, Mapping):
                raise ConfigError(f"row {number} is no object of features", received=repr(row)[:80])
        if self.rows is None:
            raise ConfigError("classify and regress take rows", received="columns", expected='[{"feature": value}, …]')
        return self.rows


def body_of(text: str, where: str) -> Body:
    """Return what a text asks about.

    Args:
        text: A JSON list of rows; ``{"instances": …}``, ``{"inputs": …}`` or ``{"examples": …}``; one row; or one row a
            line.
        where: What errors call it.

    Raises:
        ConfigError: It is no JSON, or holds no rows.
    """
    found = _parsed(text, where)
    if isinstance(found, list):
        body = Body(rows=found)
    elif isinstance(found, Mapping) and len(kinds := [key for key in _KEYS if key in found]) == 1:
        body = Body(columns=found["inputs"]) if kinds == ["inputs"] else Body(rows=_list(found[kinds[0]], where))
    else:
        body = Body(rows=[found])
    if body.rows == []:
        raise ConfigError("there are no rows", where=where, expected='a JSON list such as [{"x": 1.0}]')
    return body


_KEYS = ("instances", "inputs", "examples")


def _parsed(text: str, where: str) -> Any:
    if not text.strip():
        raise ConfigError("there are no rows", where=where, expected='a JSON list such as [{"x": 1.0}]')
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ConfigError("the rows are lists within lists, too many of them", where=where) from error
    except ValueError as error:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) == 1 or not _is_json(lines[0]):
            raise _no_json(error, where) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise _no_json(error, f"{where}, row {number}") from error
    return rows


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ConfigError("the rows are no list", where=where, received=repr(value)[:80])
    return value


def _no_json(error: ValueError, where: str) -> ConfigError:
    return ConfigError(f"the rows are no JSON: {error}", where=where, expected="a JSON list of rows, or one row a line")
