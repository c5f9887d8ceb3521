"""Which ``vars`` can be runtime parameters: those that only steps' own parameters use, found in the document itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from penstock.pipelines.config import Document
from penstock.pipelines.config.references import Reference, split
from penstock.pipelines.config.words import dotted
from penstock.pipelines.kubeflow.bindings import Binding, Part
from penstock.pipelines.kubeflow.parameters import Parameter, type_of

Path = tuple[str | int, ...]
_OTHER = "${}"
"""Stands where a variable's name stands: something else, which no run can set."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True)
class Use:
    """One text of the document that names variables.

    Attributes:
        path: Where it stands.
        parts: Its literal text and the variables, those that are made of others resolved into these.
        variables: The variables' names.
        constant: Why what stands there cannot change at run time; None where it can.
    """

    path: Path
    parts: tuple[Part, ...]
    variables: frozenset[str]
    constant: str | None = None

    def binding(self) -> Binding:
        """Return the use as a place in a property of its step."""
        return Binding(str(self.path[3]), self.path[4:], self.parts)


def uses(document: Document, steps: Mapping[str, Any]) -> Iterator[Use]:
    """Yield every text outside of ``vars`` that names variables; of the steps, those of ``steps`` only."""
    for path, text in _texts((), document.raw):
        if path[0] in ("vars", "extends") or (path[0] == "steps" and path[1] not in steps) or "${" not in text:
            continue
        parts = _parts(document, text)
        variables = frozenset(part[0] for part in parts if isinstance(part, tuple) and part[0] != _OTHER)
        if variables:
            yield Use(path, parts, variables, _why_constant(document, path, parts))


def parameters(document: Document, names: frozenset[str]) -> tuple[Parameter, ...]:
    """Return these variables as runtime parameters, in the order of the document."""
    values: Mapping[str, Any] = document.data.get("vars", {})
    return tuple(
        Parameter(name, kind, value)
        for name, value in values.items()
        if name in names and (kind := type_of(value)) is not None
    )


def _texts(path: Path, node: Any) -> Iterator[tuple[Path, str]]:
    if isinstance(node, str):
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in items:
        yield from _texts((*path, key), child)


def _parts(document: Document, text: str) -> tuple[Part, ...]:
    """Return the literal parts and the variables of a text; variables that are made of others become these."""
    found: list[Part] = []
    for part in split(text):
        if not isinstance(part, Reference):
            found.append(part)
        elif part.name.startswith("vars."):
            found += _variable(document, tuple(part.name.split(".")[1:]))
        else:
            found.append((_OTHER, part.written))  # The environment, the root or the name: what it is now.
    return tuple(found)


def _variable(document: Document, path: tuple[str, ...]) -> tuple[Part, ...]:
    raw: Any = document.raw.get("vars", {})
    for key in path:
        if isinstance(raw, str):
            break
        raw = raw[int(key)] if isinstance(raw, list) else raw[key]
    return _parts(document, raw) if isinstance(raw, str) and "${" in raw else (path,)


def _why_constant(document: Document, path: Path, parts: tuple[Part, ...]) -> str | None:
    """Return why a use must be compiled in, as the end of a sentence; None where it need not."""
    if path[0] != "steps" or len(path) < 4 or path[2] != "with":
        return f"{dotted(path)} shapes the pipeline"
    for part in parts:
        if isinstance(part, tuple) and part[0] == _OTHER:
            return f"{dotted(path)} is also made of {part[1]}"
        if isinstance(part, tuple) and not _NAME.fullmatch(part[0]):
            return f"'{part[0]}' is no name of a parameter: letters, digits and '_'"
        if isinstance(part, tuple) and type_of(document.value(("vars", *part[:1]))) is None:
            return f"vars.{part[0]} is null or not finite, and parameters have a type"
        if isinstance(part, tuple) and _holds_references(document.raw["vars"][part[0]]):
            return f"a part of vars.{part[0]} is made of other values"
    return None


def _holds_references(raw: Any) -> bool:
    return any("${" in text for _, text in _texts((), raw))
