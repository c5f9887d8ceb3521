"""YAML 1.2 scalars: which text is a number, true or null, and which is text."""

from __future__ import annotations

from functools import cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.resolver import VersionedResolver

_CORE = "tag:yaml.org,2002:"
_NO_VALUE = {"null": "not null", "bool": "neither true nor false", "int": "no integer", "float": "no number"}
_TEXT = ("str", "timestamp", "value", "merge")
_LIMIT = 2**64
_LONGEST_INTEGER = 200
_TOO_LARGE = "an integer has at most 64 bits"


class Yaml12(VersionedResolver):
    """Reads every document by the rules of YAML 1.2, whatever its ``%YAML`` line says."""

    @property
    def processing_version(self) -> tuple[int, int]:
        """Return the version whose rules apply."""
        return (1, 2)


class UnknownTagError(ValueError):
    """The scalar has a tag that is no plain type of YAML."""


def scalar(node: ScalarNode) -> Any:
    """Return the Python value of a YAML scalar; dates and times stay text.

    Raises:
        UnknownTagError: The tag names no plain type.
        ValueError: The text is no value of its type, or the integer does not fit 64 bits.
    """
    name = str(node.tag).removeprefix(_CORE)
    if name in _TEXT:
        text = str(node.value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            raise ValueError("half a surrogate pair is no character")
        return text
    if name not in _NO_VALUE:
        raise UnknownTagError(str(node.tag))
    constructor = _shared_loader().constructor
    if name == "int" and len(node.value) > _LONGEST_INTEGER:
        raise ValueError(_TOO_LARGE)
    try:
        value = constructor.yaml_constructors[_CORE + name](constructor, node)
    except (KeyError, IndexError, ValueError) as error:
        # ruamel takes the tag or the first characters on trust: `!!bool maybe`, `!!int ""`, `-_`.
        raise ValueError(f"it is {_NO_VALUE[name]}") from error
    if isinstance(value, int) and abs(value) >= _LIMIT:
        raise ValueError(_TOO_LARGE)
    return value


def read_scalar(text: str) -> Any:
    """Return what a whole text means as a YAML scalar: ``5`` is an integer, ``'5'`` and ``five`` are text.

    Text that is no YAML scalar (``a: b``, ``[1, 2]``, ``!x``) is text.
    """
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return _unquoted(text)
    tag = _shared_loader().resolver.resolve(ScalarNode, text, (True, False))
    try:
        return scalar(ScalarNode(tag, text, None, None))
    except ValueError:
        return text


def _unquoted(text: str) -> str:
    try:
        node = loader().compose(text)
        value = scalar(node) if isinstance(node, ScalarNode) else text
    except (YAMLError, ValueError):
        return text
    return value if isinstance(value, str) else text


def loader() -> YAML:
    """Return a new reader of one YAML 1.2 text."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = Yaml12
    return yaml


@cache
def _shared_loader() -> YAML:
    """Return the one whose resolver and constructor, which keep no state, serve all scalars."""
    return loader()
