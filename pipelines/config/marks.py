"""Places in a configuration: a file's text by lines, and marks that point into it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from penstock.paths import shown_path

__all__ = ["Mark", "Source", "argument_source", "shown_path"]

_LINE_END = re.compile(r"\r\n|\r|\n")
_ARGUMENT = "--set "
_SHOWN_COLUMNS = 110
_LEAD_COLUMNS = 40


@dataclass(frozen=True)
class Mark:
    """A place in a configuration file or in a ``--set`` argument.

    Args:
        file: The file as shown to the user (see :func:`shown_path`), or ``--set <path>``.
        line: Line number, from 1.
        column: Column number in characters, from 1.
        length: Characters to underline, at least 1.
        source: The text of the whole line.
    """

    file: str
    line: int
    column: int
    length: int = 1
    source: str = field(default="", repr=False)

    @property
    def location(self) -> str:
        """``file:line:column``; for a command line argument its name."""
        return self.file if self.in_argument else f"{self.file}:{self.line}:{self.column}"

    @property
    def in_argument(self) -> bool:
        """Whether the mark points into a ``--set`` argument."""
        return self.file.startswith(_ARGUMENT)

    def narrowed(self, text: str) -> Mark:
        """Return a mark at the first ``text`` at or after this one on the same line, or this mark itself."""
        found = self.source.find(text, self.column - 1) if text else -1
        return self if found < 0 else replace(self, column=found + 1, length=len(text))

    def snippet(self) -> list[str]:
        """Return the source line and the line that underlines the place; empty for arguments."""
        if self.in_argument or not self.source.strip():
            return []
        start = max(0, self.column - 1 - _LEAD_COLUMNS) if len(self.source) > _SHOWN_COLUMNS else 0
        text = self.source[start : start + _SHOWN_COLUMNS].rstrip()
        # Control characters, escape sequences among them, must not reach the terminal.
        clean = "".join(c if c.isprintable() else " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
        offset = self.column - 1 - start
        underline = "^" * max(1, min(self.length, len(clean) - offset))
        return [f"{self.line:>5} | {clean}", f"      | {' ' * offset}{underline}"]


@dataclass(frozen=True)
class Source:
    """The text of one configuration file, or of one ``--set`` value.

    Args:
        name: What marks show as the file.
        text: The whole text.
    """

    name: str
    text: str
    lines: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", tuple(_LINE_END.split(self.text)))

    def mark(self, line: int, column: int, end: tuple[int, int] | None = None) -> Mark:
        """Return a mark; all positions count from 0, as the YAML parser's do.

        Args:
            line: Line; one past the end means the last line.
            column: Column in characters.
            end: Line and column after the last character, None for one character.
        """
        line = min(line, len(self.lines) - 1)
        source = self.lines[line]
        column = min(column, len(source))
        last = column + 1 if end is None else end[1] if end[0] == line else len(source.rstrip())
        return Mark(self.name, line + 1, column + 1, max(1, last - column), source)

    def mark_at(self, index: int) -> Mark:
        """Return a mark at the character ``index`` of the text, from 0."""
        before = _LINE_END.split(self.text[:index])
        return self.mark(len(before) - 1, len(before[-1]))


def argument_source(path: str, text: str) -> Source:
    """Return the source for the value of one ``--set`` argument."""
    return Source(_ARGUMENT + repr(path)[1:-1], text)
