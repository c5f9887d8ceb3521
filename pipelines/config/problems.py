"""What is wrong with a configuration, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError
from penstock.pipelines.config.marks import Mark, shown_path
from penstock.pipelines.config.words import dotted


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong.

    Args:
        message: What is wrong, in one sentence without a full stop.
        path: Keys and indexes from the top of the document to the place.
        mark: The place in the text, None when there is no text (a missing file).
        received: What was found.
        expected: What would have been right.
        hint: What to do next.
    """

    message: str
    path: tuple[str | int, ...] = ()
    mark: Mark | None = None
    received: str | None = None
    expected: str | None = None
    hint: str | None = None

    def __str__(self) -> str:
        head = f"{self.mark.location}: {self.message}" if self.mark else self.message
        details = [("received", self.received), ("expected", self.expected), ("next", self.hint)]
        # What the sentence already says is not said twice.
        lines = [f"      {label}: {text}" for label, text in details if text and text not in self.message]
        return "\n".join([head, *(self.mark.snippet() if self.mark else []), *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return the problem as JSON-serializable data; line and column count from 1."""
        return {
            "file": self.mark.file if self.mark else None,
            "line": self.mark.line if self.mark else None,
            "column": self.mark.column if self.mark else None,
            "path": dotted(self.path),
            "message": self.message,
            "received": self.received,
            "expected": self.expected,
            "hint": self.hint,
        }


class ConfigProblems(ConfigError):  # noqa: N818 - reads as what it holds
    """Everything that is wrong with a configuration, in one error; nothing was run.

    Args:
        problems: At least one; they are sorted by file and line, and duplicates are dropped.
        file: The configuration file that was to be loaded.
    """

    def __init__(self, problems: Iterable[Problem], file: str | Path) -> None:
        self.problems = tuple(sorted(dict.fromkeys(problems), key=_place))
        self.file = shown_path(file)
        count = len(self.problems)
        super().__init__(f"{count} problem{'s' if count > 1 else ''} in {self.file}; nothing was run.")

    def __str__(self) -> str:
        return "\n\n".join([*map(str, self.problems), self.what])

    def __reduce__(self) -> tuple[type[ConfigProblems], tuple[tuple[Problem, ...], str]]:
        return ConfigProblems, (self.problems, self.file)

    def to_dict(self) -> dict[str, Any]:
        """Return all problems as JSON-serializable data."""
        return {"cause": self.cause, "problems": [problem.to_dict() for problem in self.problems]}


def _place(problem: Problem) -> tuple[str, int, int, str]:
    mark = problem.mark
    return (mark.file, mark.line, mark.column, problem.message) if mark else ("", 0, 0, problem.message)
