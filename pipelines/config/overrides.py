"""``--set path=value``: one value of the merged document, replaced from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from penstock.closest import did_you_mean
from penstock.pipelines.config.marks import Source, argument_source
from penstock.pipelines.config.parse import SyntaxProblemError, parse
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.tree import Node
from penstock.pipelines.config.words import Path, dotted, kind, one_of, quoted, where

_INDEX = re.compile(r"[0-9]{1,9}")
_ANY = None
_OPEN: tuple[tuple[str | None, ...], ...] = (
    (),
    ("beam",),
    ("metadata",),
    ("kubeflow",),
    ("steps", _ANY),
    ("steps", _ANY, "with"),
    ("steps", _ANY, "resources"),
)
"""Mappings in which a new key is refused later, with the list of the keys that are allowed, if it is unknown."""
_IMPLIED: tuple[tuple[str | None, ...], ...] = (
    ("beam",),
    ("metadata",),
    ("kubeflow",),
    ("steps", _ANY, "with"),
    ("steps", _ANY, "resources"),
)
"""Mappings that are there, empty, when the file leaves them out."""


def apply_overrides(tree: Node, overrides: Sequence[str]) -> tuple[Node, list[Problem]]:
    """Return the tree with all overrides applied in order, and what is wrong with them.

    Args:
        tree: The merged document, a mapping.
        overrides: Arguments such as ``steps.trainer.with.epochs=1``; the value is YAML.
    """
    problems: list[Problem] = []
    for argument in overrides:
        name, equals, text = argument.partition("=")
        source = argument_source(name, text)
        try:
            path = _segments(name, equals, source)
            value, found = parse(source, path)
            problems += found
            tree = _replaced(tree, path, 0, value, source)
        except SyntaxProblemError as error:
            problems.append(error.problem)
    return tree, problems


def _segments(name: str, equals: str, source: Source) -> tuple[str, ...]:
    path = tuple(name.split("."))
    received = quoted(name + equals + source.text)
    message = None
    if not equals:
        message = "an override needs '=' and a value"
    elif not all(path):
        message = "an override needs keys between its dots"
    if message is not None:
        expected = "path.to.key=value, for example steps.trainer.with.epochs=1"
        raise SyntaxProblemError(Problem(message, (), source.mark(0, 0), received, expected))
    if path[0] == "extends":
        hint = "make a file that extends this one"
        raise SyntaxProblemError(Problem("'extends' can only be set in a file", path, source.mark(0, 0), hint=hint))
    return path


def _replaced(node: Node, path: tuple[str, ...], depth: int, value: Node, source: Source) -> Node:
    """Return ``node``, which stands at ``path[:depth]``, with ``value`` at ``path``."""
    if depth == len(path):
        return replace(value, key=source.mark(0, 0))
    if isinstance(node.value, list):
        index = _index(node.value, path, depth, source)
        items = list(node.value)
        items[index] = _replaced(items[index], path, depth + 1, value, source)
        return replace(node, value=items)
    if not isinstance(node.value, dict):
        message = f"{dotted(path[:depth])} is {kind(node.value)}, it holds no {quoted(path[depth])}"
        raise SyntaxProblemError(Problem(message, path, source.mark(0, 0), hint=f"set {dotted(path[:depth])} itself"))
    child = node.value.get(path[depth])
    if child is None:
        child = _new(node, path, depth, source)
    return replace(node, value={**node.value, path[depth]: _replaced(child, path, depth + 1, value, source)})


def _index(items: list[Node], path: tuple[str, ...], depth: int, source: Source) -> int:
    text = path[depth]
    if _INDEX.fullmatch(text) and int(text) < len(items):
        return int(text)
    message = f"no item {quoted(text)}{where(path[:depth], 'in')}"
    expected = f"an index from 0 to {len(items) - 1}" if items else "a list that is not empty"
    raise SyntaxProblemError(Problem(message, path, source.mark(0, 0), expected=expected))


def _new(node: Node, path: tuple[str, ...], depth: int, source: Source) -> Node:
    """Return an empty mapping for a key that is not there but may be set.

    Raises:
        SyntaxProblemError: It may not.
    """
    is_last = depth == len(path) - 1
    if is_last and any(_matches(path[:depth], place) for place in _OPEN):
        return Node(None, source.mark(0, 0))
    if any(_matches(path[: depth + 1], place) for place in _IMPLIED):
        return Node({}, source.mark(0, 0), source.mark(0, 0))
    message = f"no key {quoted(path[depth])}{where(path[:depth], 'in') or ' at the top level'}"
    keys: list[str] = sorted(node.value)
    hint = did_you_mean(path[depth], keys)
    if hint is None and not is_last and any(_matches(path[:depth], place) for place in _OPEN):
        hint = f"set {dotted(path[: depth + 1])}={{…}} as a whole"
    raise SyntaxProblemError(Problem(message, path, source.mark(0, 0), expected=one_of(keys), hint=hint))


def _matches(path: Path, place: tuple[str | None, ...]) -> bool:
    return len(path) == len(place) and all(want in (_ANY, got) for got, want in zip(path, place, strict=True))
