"""``--set path=value``: one value of the merged document, replaced from the command line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from penstock.closest import did_you_mean
from penstock.pipelines.config.fields import keys_at
from penstock.pipelines.config.marks import Source, argument_source
from penstock.pipelines.config.models import PipelineConfig
from penstock.pipelines.config.parse import SyntaxProblemError, parse
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.tree import Node
from penstock.pipelines.config.words import Path, dotted, kind, one_of, quoted, where

_INDEX = re.compile(r"[0-9]{1,9}")
_ANY = None
_CHECKED_LATER: tuple[tuple[str | None, ...], ...] = (
    ("beam", "options"),
    ("steps", _ANY, "inputs"),
    ("steps", _ANY, "with"),
)
"""Mappings whose keys are Beam's or a component's: who knows them refuses a wrong one and lists the right ones."""


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
    """Return what stands at a key that is not there but may be set: nothing, or an empty mapping for the keys below it.

    Raises:
        SyntaxProblemError: It may not.
    """
    place, is_last = path[:depth], depth == len(path) - 1
    named = keys_at(PipelineConfig, place)
    keys = named or sorted(node.value)
    if not _may_be_new(path[depth], keys, place, named=bool(named), is_last=is_last):
        message = f"no key {quoted(path[depth])}{where(place, 'in') or ' at the top level'}"
        hint = did_you_mean(path[depth], keys)
        raise SyntaxProblemError(Problem(message, path, source.mark(0, 0), expected=one_of(keys), hint=hint))
    if is_last:
        return Node(None, source.mark(0, 0))
    if keys_at(PipelineConfig, path[: depth + 1]) is None:
        message = f"{dotted(path[: depth + 1])} is no mapping, it holds no {quoted(path[depth + 1])}"
        hint = f"set {dotted(path[: depth + 1])} itself"
        raise SyntaxProblemError(Problem(message, path, source.mark(0, 0), hint=hint))
    return Node({}, source.mark(0, 0), source.mark(0, 0))


def _may_be_new(key: str, keys: list[str], place: tuple[str, ...], *, named: bool, is_last: bool) -> bool:
    """Return whether a key may be added to a mapping.

    Args:
        key: The key.
        keys: Those that the model names, or else those that the mapping has.
        place: The mapping.
        named: Whether the model names them.
        is_last: Whether the value is the key's own; a wrong one is refused later then, with all other mistakes.
    """
    if named:
        return is_last or key in keys
    if any(_matches(place, known) for known in _CHECKED_LATER):
        return True
    below = any(_matches(place[: len(known)], known) for known in _CHECKED_LATER)
    # Where a file chose the names, one more is rather one of them misspelt.
    return not keys or (below and did_you_mean(key, keys) is None)


def _matches(path: Path, place: tuple[str | None, ...]) -> bool:
    return len(path) == len(place) and all(want in (_ANY, got) for got, want in zip(path, place, strict=True))
