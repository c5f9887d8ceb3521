"""What a pydantic model allows at a place: its keys and their descriptions."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from penstock.pipelines.config.words import Path


def fields_at(model: type[BaseModel], location: Path) -> dict[str, FieldInfo]:
    """Return the fields, by the keys that a document uses, of the mapping at a pydantic error's location.

    Args:
        model: The model that was validated.
        location: The error's location without its last part; parts that choose a union's branch are understood.
    """
    candidates = list(_branches(model))
    for part in location:
        below = [branch for candidate in candidates for branch in _below(candidate, part)]
        # A part that leads nowhere names the branch of a union.
        candidates = below or [c for c in candidates if _is_named(c, part)] or candidates
    return _all_fields(candidates)


def keys_at(model: type[BaseModel], path: Path) -> list[str] | None:
    """Return the keys that a model names for the mapping at a path of the document.

    Returns:
        None where the model has no mapping; an empty list for a mapping whose keys are anybody's choice.
    """
    candidates = list(_branches(model))
    for part in path:
        candidates = [
            branch for candidate in candidates for branch in (*_below(candidate, part), *_anything(candidate))
        ]
    mappings = [candidate for candidate in candidates if _fields(candidate) or _is_open(candidate)]
    return sorted(_all_fields(mappings)) if mappings else None


def _is_open(annotation: Any) -> bool:
    return annotation is Any or get_origin(annotation) is dict


def _anything(annotation: Any) -> list[Any]:
    """Return what is below a value of any type: the same."""
    return [Any] if annotation is Any else []


def _all_fields(candidates: list[Any]) -> dict[str, FieldInfo]:
    return {key: field for candidate in candidates for key, field in _fields(candidate).items()}


def _fields(annotation: Any) -> dict[str, FieldInfo]:
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return {}
    return {field.alias or name: field for name, field in annotation.model_fields.items()}


def _branches(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, without annotations; any other type as it is."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _branches(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _branches(member)
    else:
        yield annotation


def _below(annotation: Any, part: str | int) -> Iterator[Any]:
    fields = _fields(annotation)
    if part in fields:
        yield from _branches(fields[str(part)].annotation)
    arguments = get_args(annotation)
    origin = get_origin(annotation)
    if isinstance(part, str) and len(arguments) == 2 and isinstance(origin, type) and not issubclass(origin, tuple):
        yield from _branches(arguments[1])
    elif isinstance(part, int) and arguments and origin is not Literal:
        yield from _branches(arguments[0])


def _is_named(annotation: Any, part: str | int) -> bool:
    """Return whether a union's branch goes by this name: its class, or a literal that tells it from the others."""
    literals = [get_args(f.annotation) for f in _fields(annotation).values() if get_origin(f.annotation) is Literal]
    return getattr(annotation, "__name__", None) == part or any(part in values for values in literals)
