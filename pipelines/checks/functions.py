"""Rules about the user's code behind the steps, as far as its source tells. Nothing of it is imported."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.errors import ConfigError
from penstock.paths import shown_path
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.static_import import missing_imports


def imports_are_there(graph: Graph, document: Document) -> Iterator[Problem]:
    """A module that imports what is nowhere fails its step, which may be the last of a long run."""
    for step in graph.steps.values():
        for function in step.functions:
            place = place_of(document, step, function)
            try:
                for file, line, name in missing_imports([function], graph.project):
                    yield document.problem(
                        place,
                        f"{shown_path(file)}:{line} imports '{name}', and there is no such module",
                        expected=f"a module under the project folder {graph.project}, or an installed package",
                        hint="install it where penstock is installed, or correct the name",
                    )
            except ConfigError as error:
                yield document.problem(place, error.what)


def place_of(document: Document, step: Step, function: str) -> tuple[str | int, ...]:
    """Return where in the step a function is named; the step itself where it is its component."""
    given = document.value(("steps", step.name, "with")) or {}
    named = [key for key, value in given.items() if value == function]
    return ("steps", step.name, "with", named[0]) if named else ("steps", step.name, "component")
