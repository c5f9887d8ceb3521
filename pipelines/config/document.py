"""A loaded document: its data, and where every part of it was written."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from penstock.pipelines.config.marks import Mark
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.tree import Places
from penstock.pipelines.config.words import Path as DocumentPath
from penstock.pipelines.config.words import as_text, described, kind, quoted

_SHORT = 3
"""Values of so few characters, such as 5, are hidden only where they are no part of a longer word."""


class Document:
    """The merged, substituted document, which knows file, line and column of every key and value.

    Attributes:
        file: The configuration file, absolute.
        project: The folder that relative paths in the document start from, absolute.
        data: The whole document as plain dicts, lists and scalars.
        raw: The same before ``${…}`` were replaced.
    """

    def __init__(  # noqa: PLR0913  One argument a fact.
        self,
        file: Path,
        project: Path,
        data: dict[str, Any],
        places: Places,
        *,
        origins: Mapping[DocumentPath, frozenset[str]] | None = None,
        environ: Mapping[str, str] | None = None,
        raw: dict[str, Any] | None = None,
    ) -> None:
        self.file = file
        self.project = project
        self.data = data
        self.raw = data if raw is None else raw
        self._places = places
        self._origins = dict(origins or {})
        self._environ = dict(environ or {})

    def mark(self, path: DocumentPath, *, key: bool = False) -> Mark | None:
        """Return where a value, or its key, was written.

        Args:
            path: Keys and indexes from the top.
            key: Whether the key is meant, not the value.

        Returns:
            The mark; that of the nearest enclosing key when the path itself was not written, as for defaults.
        """
        return self._places.find(path, key=key)

    def resolve(self, path: str) -> str:
        """Return a project-relative path as an absolute one; absolute paths and URLs (``gs://…``) stay."""
        return path if "://" in path else os.path.normpath(self.project / path)

    @property
    def damaged(self) -> frozenset[DocumentPath]:
        """The places whose values say nothing, as what is wrong with them, or with what they name, was reported."""
        return frozenset(self._places.damaged)

    def origins(self) -> Iterator[tuple[DocumentPath, frozenset[str]]]:
        """Yield the places whose values come from the environment, with the variables' names."""
        yield from self._origins.items()

    def value(self, path: DocumentPath) -> Any:
        """Return the plain value at a path, None when there is none."""
        value: Any = self.data
        for part in path:
            try:
                value = value[part]
            except (LookupError, TypeError):
                return None
        return value

    def origin(self, path: DocumentPath) -> str | None:
        """Return ``(from the environment variable NAME)`` when that is where the value comes from, else None."""
        return _from(self._origins[path]) if path in self._origins else None

    def shown(self, path: DocumentPath) -> str:
        """Return the value at a path in words; what comes from the environment is not shown, it may be a secret."""
        value = self.value(path)
        origin = self.origin(path)
        return f"{kind(value)} {origin}" if origin else described(value)

    def shareable(self) -> dict[str, Any]:
        """Return the data; in the place of what comes from the environment, which may be secret, a note."""
        data = copy.deepcopy(self.data)
        for path, names in self._origins.items():
            owner: Any = data
            for part in path[:-1]:
                owner = owner[part]
            owner[path[-1]] = _from(names)
        return data

    def without_secrets(self, text: str) -> str:
        """Return a text with every value that comes from the environment replaced; each line of a long one too."""
        secrets = dict(self._secrets(()))
        lines = {line: note for value, note in secrets.items() for line in value.splitlines() if len(line) > _SHORT}
        return _hidden(text, sorted((lines | secrets).items(), key=lambda secret: -len(secret[0]))) or ""

    def problem(
        self,
        path: DocumentPath,
        message: str,
        *,
        key: bool = False,
        received: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> Problem:
        """Return a problem that is located in the document.

        Values at, above or below the path that come from the environment are replaced in every text.

        Args:
            path: The place.
            message: What is wrong, in one sentence without a full stop.
            key: Whether the key is in question, not the value.
            received: What was found.
            expected: What would have been right.
            hint: What to do next.
        """
        secrets = sorted(self._secrets(path), key=lambda secret: -len(secret[0]))
        texts = [_hidden(text, secrets) for text in (message, received, expected, hint)]
        return Problem(texts[0] or "", path, self.mark(path, key=key), *texts[1:])

    def _secrets(self, path: DocumentPath) -> Iterator[tuple[str, str]]:
        """Yield the texts that must not be shown at a path, each with what is shown instead."""
        for place, names in self._origins.items():
            length = min(len(place), len(path))
            if place[:length] == path[:length]:
                values = [self.value(place), *(self._environ[name] for name in names if name in self._environ)]
                for text in {as_text(value) for value in values if value is not None}:
                    yield from ((form, _from(names)) for form in {text, repr(text)[1:-1], quoted(text)[1:-1]} if form)


def _from(names: frozenset[str]) -> str:
    variables = "variable" if len(names) == 1 else "variables"
    return f"(from the environment {variables} {', '.join(sorted(names))})"


def _hidden(text: str | None, secrets: list[tuple[str, str]]) -> str | None:
    """Return the text with each secret replaced, all in one pass so that replacements stay as they are."""
    if not text or not secrets:
        return text
    shown = dict(secrets)
    forms = (re.escape(form) if len(form) > _SHORT else rf"(?<!\w){re.escape(form)}(?!\w)" for form in shown)
    return re.sub("|".join(forms), lambda found: shown[found[0]], text)
