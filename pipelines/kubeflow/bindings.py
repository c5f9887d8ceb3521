"""Where a step's properties hold runtime parameters, and how their values get there.

Plain data that travels in the compiled pipeline: the compiler writes it, the container's entry point follows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.pipelines.config.words import as_text

Part = str | tuple[str, ...]
"""Literal text, or the name of a parameter with the path to a value below it."""


@dataclass(frozen=True)
class Binding:
    """One place that is filled with parameters.

    Attributes:
        property: The execution property.
        path: Keys and indexes to the place in it; the property is JSON where the path is not empty.
        parts: What stands there. A single parameter keeps its type, several parts make a text.
    """

    property: str
    path: tuple[str | int, ...]
    parts: tuple[Part, ...]

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return what stands at the place, for these values of the parameters."""
        found = [part if isinstance(part, str) else _below(values[part[0]], part[1:]) for part in self.parts]
        return found[0] if len(found) == 1 else "".join(map(as_text, found))

    def to_json(self) -> list[Any]:
        """Return the binding as JSON data."""
        return [self.property, list(self.path), [p if isinstance(p, str) else list(p) for p in self.parts]]

    @classmethod
    def from_json(cls, data: Sequence[Any]) -> Binding:
        """Inverse of :meth:`to_json`."""
        name, path, parts = data
        return cls(name, tuple(path), tuple(p if isinstance(p, str) else tuple(p) for p in parts))


def fill(properties: Mapping[str, Any], bindings: Sequence[Binding], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the properties with the values of the parameters in their places.

    Raises:
        LookupError: A path leads nowhere.
    """
    filled = dict(properties)
    for binding in bindings:
        filled[binding.property] = _put(filled.get(binding.property), binding.path, binding.value(values))
    return filled


def _put(node: Any, path: tuple[str | int, ...], value: Any) -> Any:
    if not path:
        return value
    if isinstance(node, str):  # A message or a config as JSON; TFX nests such texts in one another.
        return json.dumps(_put(json.loads(node), path, value), sort_keys=True)
    head, rest = path[0], path[1:]
    if isinstance(node, list) and isinstance(head, int):
        return [_put(item, rest, value) if index == head else item for index, item in enumerate(node)]
    if isinstance(node, dict) and isinstance(head, str):
        # A message leaves out what has its default value.
        return {**node, head: _put(node.get(head, {} if rest else None), rest, value)}
    raise LookupError(head)


def _below(value: Any, path: Sequence[str]) -> Any:
    for key in path:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value
