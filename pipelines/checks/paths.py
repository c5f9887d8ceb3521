"""Rules about the paths that a config names, whoever reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph
from penstock.types import fields_with_role

_ROOT = ("root",)


def paths_name_no_home(graph: Graph, document: Document) -> Iterator[Problem]:
    """A shell knows ``~``; here it would be a folder of that name in the project."""
    root = document.value(_ROOT)
    for place in _paths(graph):
        value = document.value(place)
        if not _is_home(value) or (place != _ROOT and _is_home(root) and value.startswith(root)):
            continue
        yield document.problem(
            place,
            "'~' is no home folder in a config",
            received=document.shown(place),
            expected="a path relative to the project, an absolute one, or a URL",
            hint=f"write {os.path.expanduser(value)}",  # noqa: PTH111  It stays as it is where nobody has a home.
        )


def _is_home(value: object) -> bool:
    return isinstance(value, str) and value.partition("/")[0] == "~"


def _paths(graph: Graph) -> Iterator[tuple[str, ...]]:
    yield from (_ROOT, ("metadata", "sqlite"), ("beam", "job_server_jar"))
    for step in graph.steps.values():
        place = ("steps", step.name, "with")
        if step.config is not None:
            yield from ((*place, *field) for field, _ in fields_with_role(step.config, "path"))
        yield from ((*place, name) for name, parameter in step.type.parameters.items() if parameter.type.kind == "path")
