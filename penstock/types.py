"""Field types that configs of several components share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel

IMPORT_PATH = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
"""Pattern of ``package.module.name``."""


@dataclass(frozen=True)
class Role:
    """Marks a text field by what it refers to: a user's ``function`` or a ``path`` relative to the project."""

    name: str


FunctionPath = Annotated[str, Role("function")]
ProjectPath = Annotated[str, Role("path")]


def fields_with_role(model: BaseModel, role: str) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path and value of each set text field of ``model`` that has ``role``, nested models included."""
    for name, info in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from (((name, *path), text) for path, text in fields_with_role(value, role))
        elif isinstance(value, str) and _has_role(info.annotation, info.metadata, role):
            yield (name,), value


def _has_role(annotation: Any, metadata: list[Any], role: str) -> bool:
    if Role(role) in metadata:
        return True
    if get_origin(annotation) is Annotated:
        inner, *extra = get_args(annotation)
        return Role(role) in extra or _has_role(inner, [], role)
    return any(_has_role(arg, [], role) for arg in get_args(annotation) if get_origin(annotation) is not Annotated)


def replace_field(model: BaseModel, path: tuple[str, ...], value: str) -> BaseModel:
    """Return a copy of ``model`` with the field at ``path`` set to ``value``."""
    head, *rest = path
    inner = replace_field(getattr(model, head), tuple(rest), value) if rest else value
    return model.model_copy(update={head: inner})
