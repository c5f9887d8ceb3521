"""Values that a pydantic model quietly took for another type: ``"5"`` for 5, ``true`` for 1.

The config language has no such freedom. Strict pydantic would not do: it takes no list for a tuple, and YAML has no
tuples.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from penstock.pipelines.config.document import Document
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.remedies import remedy_for
from penstock.pipelines.config.words import Path, kind, where

_Scalar = str | bool | int | float


def coerced(document: Document, path: Path, config: BaseModel) -> Iterator[Problem]:
    """Yield a problem for each scalar that ``config`` holds as another type than the document.

    Args:
        document: The document.
        path: Where the mapping stands that ``config`` was made of.
        config: The typed model.
    """
    for place, expected in _changed(document.value(path), config.model_dump(by_alias=True), path):
        value, received = document.value(place), document.shown(place)
        yield document.problem(
            place,
            f"expected {expected}, received {received}{where(place, 'at')}",
            received=received,
            expected=expected,
            hint=remedy_for(expected, value),
        )


def _changed(given: Any, kept: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """Yield the path of each changed scalar, and what it became in words."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for key in given.keys() & kept.keys():
            yield from _changed(given[key], kept[key], (*path, key))
    elif isinstance(given, list) and isinstance(kept, list | tuple):
        for index, (before, after) in enumerate(zip(given, kept, strict=False)):
            yield from _changed(before, after, (*path, index))
    elif isinstance(given, _Scalar) and isinstance(kept, _Scalar) and not _is_kind(given, kind(kept)):
        yield path, kind(kept)


def _is_kind(value: _Scalar, expected: str) -> bool:
    return kind(value) == expected or (kind(value) == "an integer" and expected == "a number")
