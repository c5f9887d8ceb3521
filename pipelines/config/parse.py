"""YAML text to a tree of located values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ruamel.yaml.composer import Composer
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from penstock.pipelines.config.braces import mask, reserved_at, unmask
from penstock.pipelines.config.complaints import TooManyValuesError, explained, unusable
from penstock.pipelines.config.limits import MAX_DEPTH, MAX_LINE, MAX_VALUES
from penstock.pipelines.config.marks import Mark, Source
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.scalars import UnknownTagError, loader, scalar
from penstock.pipelines.config.tree import Node
from penstock.pipelines.config.words import Path, as_text, described, quoted

_CORE = "tag:yaml.org,2002:"


class SyntaxProblemError(Exception):
    """The text cannot be read any further; ``problem`` says where and why."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class _CountingComposer(Composer):
    """Stops at the cap, so that a huge file costs no more than a large one."""

    count = 0
    reached = (0, 0)

    def compose_node(self, parent: Any, index: Any) -> Any:
        mark = self.parser.peek_event().start_mark
        self.count += 1
        self.reached = (mark.line, mark.column)
        if self.count > MAX_VALUES:
            raise TooManyValuesError(problem_mark=mark)
        return super().compose_node(parent, index)

    def compose_scalar_node(self, anchor: Any) -> Any:
        node = super().compose_scalar_node(anchor)
        node.value = unmask(node.value)
        return node


def parse(source: Source, path: Path = ()) -> tuple[Node, list[Problem]]:
    """Return the located tree of a YAML text and the problems that leave the rest readable.

    Args:
        source: The text.
        path: Where in the document the text stands, for the problems.

    Raises:
        SyntaxProblemError: The text is not YAML, is too large or refers to itself.
    """
    root = _compose(source, path)
    if root is None:
        return Node(None, source.mark(0, 0)), []
    builder = _Builder(source)
    tree = builder.build(root, path, ())
    if isinstance(tree.value, dict):
        # A whole document has no text of its own to underline; its first character stands for it.
        tree = replace(tree, mark=replace(tree.mark, length=1))
    return tree, builder.problems


def _compose(source: Source, path: Path) -> YamlNode | None:
    reserved = reserved_at(source.text)
    if reserved is not None:
        raise SyntaxProblemError(replace(unusable(source, reserved), path=path))
    _refuse_long_lines(source, path)
    yaml = loader()
    yaml.Composer = _CountingComposer
    yaml.max_depth = MAX_DEPTH
    composer = yaml.composer
    composer.warn_double_anchors = False
    try:
        node: YamlNode | None = yaml.compose(mask(source.text))
    except YAMLError as error:
        raise SyntaxProblemError(replace(explained(error, source), path=path)) from error
    except (ValueError, OverflowError, TypeError, AttributeError, IndexError, AssertionError) as error:
        # ruamel's scanner trips over some damaged escapes and tags with bare Python errors.
        mark = source.mark(*composer.reached)
        problem = Problem("not valid YAML: a damaged escape, tag or directive after this place", path, mark)
        raise SyntaxProblemError(problem) from error
    return node


def _refuse_long_lines(source: Source, path: Path) -> None:
    for number, line in enumerate(source.lines):
        if len(line) > MAX_LINE:
            message = f"a line of {len(line):,} characters"
            expected, hint = f"at most {MAX_LINE:,}", "break the line, or read the data in a step"
            raise SyntaxProblemError(Problem(message, path, source.mark(number, 0), expected=expected, hint=hint))


class _Builder:
    """Turns YAML nodes into located nodes; aliases are expanded, so the result is a tree."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.count = 0
        self.outermost: Mark | None = None

    def build(self, node: YamlNode, path: Path, parents: tuple[YamlNode, ...], key: Mark | None = None) -> Node:
        """Return the located tree below one YAML node."""
        mark = self._mark(node)
        self.count += 1
        if any(node is parent for parent in parents):
            raise SyntaxProblemError(Problem("an alias refers to a value that holds it", path, key or mark))
        if len(parents) > MAX_DEPTH:
            raise SyntaxProblemError(Problem(f"nested more than {MAX_DEPTH} levels deep", path, key or mark))
        if self.count > MAX_VALUES:
            message = f"aliases expand to more than {MAX_VALUES:,} values"
            # The place of an alias is not known, that of the anchor is of no use; the outermost key is near.
            hint = "write out the few values that are needed"
            raise SyntaxProblemError(Problem(message, path, self.outermost or mark, hint=hint))
        if isinstance(node, ScalarNode):
            return self._scalar(node, path, mark if node.value or node.style or key is None else key, key)
        build: Callable[..., Any] = self._mapping if isinstance(node, MappingNode) else self._sequence
        if node.tag != _CORE + ("map" if isinstance(node, MappingNode) else "seq"):
            return self._unknown_tag(node, path, mark, key)
        before = len(self.problems)
        value = build(node, path, (*parents, node))
        keys_refused = any(problem.path == path for problem in self.problems[before:])
        return Node(value, mark, key, damaged=keys_refused)

    def _scalar(self, node: ScalarNode, path: Path, mark: Mark, key: Mark | None) -> Node:
        try:
            return Node(scalar(node), mark, key)
        except UnknownTagError:
            return self._unknown_tag(node, path, mark, key)
        except ValueError as error:
            hint = "put it in quotes if it is meant as text"
            self.problems.append(Problem(f"cannot read {quoted(node.value)}: {error}", path, mark, hint=hint))
            return Node(None, mark, key, damaged=True)

    def _unknown_tag(self, node: YamlNode, path: Path, mark: Mark, key: Mark | None) -> Node:
        tag = str(node.tag).replace(_CORE, "!!")
        hint = "remove the tag; a configuration holds plain values only"
        self.problems.append(Problem(f"the YAML tag {quoted(tag)} is not allowed", path, mark, hint=hint))
        return Node(None, mark, key, damaged=True)

    def _sequence(self, node: SequenceNode, path: Path, parents: tuple[YamlNode, ...]) -> list[Node]:
        return [self.build(child, (*path, index), parents) for index, child in enumerate(node.value)]

    def _mapping(self, node: MappingNode, path: Path, parents: tuple[YamlNode, ...]) -> dict[str, Node]:
        children: dict[str, Node] = {}
        for key_node, value_node in node.value:
            mark = self._mark(key_node)
            self.outermost = mark if len(parents) == 1 else self.outermost
            name = self._key(key_node, path, mark)
            if name is None:
                continue
            if name in children:
                first = children[name].key
                line = f" (first at line {first.line})" if first else ""
                hint = "keep one of them"
                self.problems.append(Problem(f"duplicate key {quoted(name)}{line}", (*path, name), mark, hint=hint))
                continue
            children[name] = self.build(value_node, (*path, name), parents, mark)
        return children

    def _key(self, node: YamlNode, path: Path, mark: Mark) -> str | None:
        """Return the key's text; None, with a problem at the mapping, when it is no usable key."""
        try:
            key = scalar(node) if isinstance(node, ScalarNode) else node.value
            refusal = _refusal(node, key)
        except ValueError as error:
            key, refusal = None, (f"cannot read the key {quoted(node.value)}: {error}", None)
        if refusal is None:
            return str(key)
        message, hint = refusal
        self.problems.append(Problem(message, path, mark, hint=hint))
        return None

    def _mark(self, node: YamlNode) -> Mark:
        start, end = node.start_mark, node.end_mark
        return self.source.mark(start.line, start.column, (end.line, end.column))


def _refusal(node: YamlNode, key: Any) -> tuple[str, str | None] | None:
    """Return why a key cannot be used, and what to do; None when it can."""
    if node.tag == _CORE + "merge":
        return "merge keys ('<<') are not supported", "use 'extends' for whole files, or an alias for a whole value"
    if isinstance(node, MappingNode | SequenceNode):
        received = "a mapping" if isinstance(node, MappingNode) else "a list"
        return f"a key must be text, received {received}", None
    if not isinstance(key, str):
        return f"a key must be text, received {described(key)}", f"put it in quotes: '{as_text(key)}'"
    if "${" in key:
        return f"the key {quoted(key)} holds '${{'; names are replaced in values only", "write the key out"
    return None
