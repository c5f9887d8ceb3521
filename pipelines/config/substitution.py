"""Replacing ``${…}`` in the merged document, and remembering what came from the environment."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from penstock.closest import closest
from penstock.pipelines.config.limits import MAX_BYTES, MAX_DEPTH, MAX_VALUES
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.references import Reference, ReferenceSyntaxError, split
from penstock.pipelines.config.scalars import read_scalar
from penstock.pipelines.config.tree import Places
from penstock.pipelines.config.words import Path, as_text, dotted, kind, one_of, quoted

_REQUIRED = ("pipeline", "root")
"""Names that may be used before anyone knows whether the document has them: the models report them as missing."""

_MOST_HINTS = 20
"""Looking for the closest name is slow; a file with thousands of undefined names gets only so many hints."""


@dataclass(frozen=True)
class _Resolved:
    """A value without references.

    Args:
        value: The plain value.
        origins: Environment variables that parts of the value come from, by the path below the value.
        values: How many values it holds, itself included.
        depth: How deep it nests; 0 for a scalar.
        good: False when a part of it could not be resolved; the problem was reported where it lies.
    """

    value: Any
    origins: dict[Path, frozenset[str]] = field(default_factory=dict)
    values: int = 1
    depth: int = 0
    good: bool = True

    def child(self, key: str | int) -> _Resolved:
        """Return one item of a mapping or list; its size is taken to be that of the whole."""
        origins = {path[1:]: names for path, names in self.origins.items() if path[:1] == (key,)}
        return _Resolved(self.value[key], origins, self.values, self.depth)


_BAD = _Resolved(None, good=False)


class Substitution:
    """Resolves every reference of one document.

    Args:
        data: The merged plain document.
        places: Where its parts were written; values that cannot be resolved are added to the damaged ones.
        environ: The environment.

    Attributes:
        problems: What was found wrong.
        used: The value of each environment variable that was read.
    """

    def __init__(self, data: dict[str, Any], places: Places, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self.used: dict[str, str] = {}
        self._data = data
        self._places = places
        self._environ = environ
        self._done: dict[Path, _Resolved] = {}
        self._open: list[Path] = []
        self._values_left = MAX_VALUES
        self._characters_left = MAX_BYTES
        self._is_spent = False

    def run(self) -> tuple[dict[str, Any], dict[Path, frozenset[str]]]:
        """Return the resolved document, and by path the variables that its values come from."""
        resolved = self._resolve((), self._data)
        return resolved.value, resolved.origins

    def _resolve(self, path: Path, raw: Any) -> _Resolved:
        if path in self._done:
            return self._done[path]
        if path in self._open:
            chain = [*self._open[self._open.index(path) :], path]
            return self._bad(chain[0], f"'${{…}}' goes round in a circle: {' -> '.join(map(dotted, chain))}")
        if len(self._open) > 2 * MAX_DEPTH:
            return self._bad(path, "too many '${…}' lead on to one another")
        self._open.append(path)
        resolved = self._text(path, raw) if isinstance(raw, str) else self._container(path, raw)
        self._open.pop()
        self._done[path] = resolved
        return resolved

    def _container(self, path: Path, raw: Any) -> _Resolved:
        if not isinstance(raw, dict | list):
            return _Resolved(raw, good=path not in self._places.damaged)
        items = list(raw.items()) if isinstance(raw, dict) else list(enumerate(raw))
        children = {key: self._resolve((*path, key), item) for key, item in items}
        values = {key: child.value for key, child in children.items()}
        return _Resolved(
            values if isinstance(raw, dict) else list(values.values()),
            {(key, *below): names for key, child in children.items() for below, names in child.origins.items()},
            1 + sum(child.values for child in children.values()),
            1 + max((child.depth for child in children.values()), default=0),
            all(child.good for child in children.values()) and path not in self._places.damaged,
        )

    def _text(self, path: Path, raw: str) -> _Resolved:
        if path[:1] == ("extends",) or "${" not in raw:
            return _Resolved(raw)
        try:
            parts = split(raw)
        except ReferenceSyntaxError as error:
            return self._bad(path, str(error), error.written, hint=error.hint)
        if len(parts) == 1 and isinstance(parts[0], Reference):
            return self._whole(path, parts[0])
        return self._joined(path, parts)

    def _whole(self, path: Path, reference: Reference) -> _Resolved:
        target = self._target(path, reference)
        if isinstance(target, str):
            return _Resolved(read_scalar(target), self._origin(reference))
        if not target.good:
            self._places.damaged.add(path)
            return target
        self._values_left -= target.values
        if self._values_left < 0:
            return self._spent(path, f"'${{…}}' add more than {MAX_VALUES:,} values", reference.written)
        if len(path) + target.depth > MAX_DEPTH:
            return self._bad(path, f"'${{…}}' nest values more than {MAX_DEPTH} levels deep", reference.written)
        return _Resolved(copy.deepcopy(target.value), target.origins, target.values, target.depth)

    def _joined(self, path: Path, parts: list[str | Reference]) -> _Resolved:
        texts: list[str] = []
        names: set[str] = set()
        for part in parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            target = self._target(path, part)
            if isinstance(target, str):
                target = _Resolved(target, self._origin(part))
            if not target.good:
                self._places.damaged.add(path)
                return _BAD
            if isinstance(target.value, dict | list):
                message = f"{quoted(part.written)} is {kind(target.value)}; inside a longer text it must be a scalar"
                return self._bad(path, message, part.written)
            texts.append(as_text(target.value))
            names |= target.origins.get((), frozenset())
        text = "".join(texts)
        self._characters_left -= len(text)
        if self._characters_left < 0:
            return self._spent(path, f"'${{…}}' make more than {MAX_BYTES:,} characters of text")
        return _Resolved(text, {(): frozenset(names)} if names else {})

    def _origin(self, reference: Reference) -> dict[Path, frozenset[str]]:
        return {(): frozenset([reference.env])} if reference.env and reference.env in self.used else {}

    def _target(self, path: Path, reference: Reference) -> _Resolved | str:
        """Return what a reference names: a resolved value, or the text of a variable or of its default."""
        env = reference.env
        if env is not None:
            if env in self._environ:
                self.used[env] = self._environ[env]
                if any("\ud800" <= char <= "\udfff" for char in self._environ[env]):
                    message = f"the environment variable {env} is not UTF-8 text"
                    return self._bad(path, message, reference.written, hint="set it again, as UTF-8")
                return self._environ[env]
            if reference.default is not None:
                return reference.default
            hint = f"set it, or give a default: '${{env.{env}:…}}'"
            return self._bad(path, f"the environment variable {env} is not set", reference.written, hint=hint)
        segments = reference.name.split(".")
        if segments[0] == "vars" and len(segments) > 1:
            found = self._variable(segments)
        else:
            found = self._top(reference.name) if reference.name in _REQUIRED else None
        return self._undefined(path, reference) if found is None else found

    def _top(self, name: str) -> _Resolved:
        """Return the root or the name; what the models will refuse by themselves is not reported here too."""
        found = self._resolve((name,), self._data[name]) if name in self._data else _BAD
        return _BAD if isinstance(found.value, dict | list) else found

    def _variable(self, segments: list[str]) -> _Resolved | None:
        """Return the value at the end of a path through ``vars``; None when there is none."""
        raw: Any = self._data
        path: Path = ()
        rest = list(segments)
        while rest and not isinstance(raw, str):
            key = _key(raw, rest[0])
            if key is None:
                return _BAD if path in self._places.damaged else None
            raw, path = raw[key], (*path, key)
            rest.pop(0)
        resolved = self._resolve(path, raw)
        for segment in rest:
            key = _key(resolved.value, segment)
            if not resolved.good:
                return resolved
            if key is None:
                return None
            resolved = resolved.child(key)
        return resolved

    def _undefined(self, path: Path, reference: Reference) -> _Resolved:
        names = self._defined
        near = closest(reference.name, names) if len(self.problems) < _MOST_HINTS else None
        hint = f"did you mean '${{{near}}}'?" if near else "declare it under 'vars'"
        message = f"undefined name {quoted(reference.written)}"
        return self._bad(path, message, reference.written, expected=one_of(names), hint=hint)

    @cached_property
    def _defined(self) -> list[str]:
        return [*_names(self._data.get("vars"), "vars"), *_REQUIRED, "env.NAME"]

    def _spent(self, path: Path, message: str, written: str = "${") -> _Resolved:
        """Report that a limit was passed, once: from then on every other reference passes it too."""
        if self._is_spent:
            self._places.damaged.add(path)
            return _BAD
        self._is_spent = True
        return self._bad(path, message, written)

    def _bad(
        self, path: Path, message: str, written: str = "${", *, expected: str | None = None, hint: str | None = None
    ) -> _Resolved:
        mark = self._places.find(path)
        mark = mark.narrowed(written) if mark else None
        self.problems.append(Problem(message, path, mark, expected=expected, hint=hint))
        self._places.damaged.add(path)
        return _BAD


def _key(value: Any, segment: str) -> str | int | None:
    """Return the key or index that a segment means in a value, None when the value has no such part."""
    if isinstance(value, dict):
        return segment if segment in value else None
    is_index = isinstance(value, list) and segment.isascii() and segment.isdigit() and len(segment) < 6
    return int(segment) if is_index and int(segment) < len(value) else None


def _names(value: Any, prefix: str) -> Iterator[str]:
    """Yield the dotted names of all variables, leaves and the mappings that hold them."""
    for key, child in value.items() if isinstance(value, dict) else ():
        yield f"{prefix}.{key}"
        yield from _names(child, f"{prefix}.{key}")
