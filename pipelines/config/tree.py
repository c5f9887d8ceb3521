"""The document as a tree of values that know where they were written; merging; flattening."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from penstock.pipelines.config.marks import Mark
from penstock.pipelines.config.words import Path


@dataclass(frozen=True)
class Node:
    """One value.

    Args:
        value: A scalar, a dict of nodes or a list of nodes. Never changed in place.
        mark: Where the value was written.
        key: Where its key was written; None for list items and the top level.
        damaged: A problem with this value was reported already, so that its content says nothing.
    """

    value: Any
    mark: Mark
    key: Mark | None = None
    damaged: bool = False


@dataclass
class Places:
    """Where every key and value of a document was written, and which were already reported as wrong."""

    values: dict[Path, Mark] = field(default_factory=dict)
    keys: dict[Path, Mark] = field(default_factory=dict)
    damaged: set[Path] = field(default_factory=set)

    def find(self, path: Path, *, key: bool = False) -> Mark | None:
        """Return the mark of a value, or of its key; of the nearest enclosing key when it has none."""
        exact, other = (self.keys, self.values) if key else (self.values, self.keys)
        mark = exact.get(path) or other.get(path)
        while mark is None and path:
            path = path[:-1]
            mark = self.keys.get(path) or self.values.get(path)
        return mark

    def is_damaged(self, path: Path) -> bool:
        """Return whether the value at ``path``, or one that holds it, was already reported."""
        return any(path[:length] in self.damaged for length in range(len(path) + 1))


def merge(base: Node, over: Node) -> Node:
    """Return ``base`` with ``over`` laid on it.

    Mappings merge key by key, anything else is replaced. A null in ``over`` deletes the key that ``base`` has; where
    ``base`` has no such key it stays, as an ordinary null. The order is that of ``base``, new keys come last.
    """
    if not (isinstance(base.value, dict) and isinstance(over.value, dict)):
        return over
    merged: dict[str, Node] = dict(base.value)
    for name, child in over.value.items():
        if name not in merged:
            merged[name] = child
        elif child.value is None and not child.damaged:
            del merged[name]
        else:
            merged[name] = merge(merged[name], child)
    return replace(over, value=merged, damaged=base.damaged or over.damaged)


def flatten(tree: Node) -> tuple[Any, Places]:
    """Return the plain data of a tree and the places of all its parts."""
    places = Places()
    return _flatten(tree, (), places), places


def _flatten(node: Node, path: Path, places: Places) -> Any:
    places.values[path] = node.mark
    if node.key is not None:
        places.keys[path] = node.key
    if node.damaged:
        places.damaged.add(path)
    if isinstance(node.value, dict):
        return {name: _flatten(child, (*path, name), places) for name, child in node.value.items()}
    if isinstance(node.value, list):
        return [_flatten(child, (*path, index), places) for index, child in enumerate(node.value)]
    return node.value
