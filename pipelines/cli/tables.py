"""Tables on a terminal; in a pipe plain columns, nothing cut and nothing coloured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from shutil import get_terminal_size

import typer

_WRAPPED = frozenset({"steps", "version", "from"})
"""Columns that are wrapped between words on a narrow terminal. Ids and times are never cut: people copy them."""
_LONGEST_WORD = 20
_SHORTENED = {"metric": 8}
"""Columns whose end is left out on a narrow terminal, with what is left at least, in characters."""
_GAP = 3
"""Between two columns on a terminal, in characters."""


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), spare: Sequence[str] = ()
) -> None:
    """Print rows under their columns' names; on a terminal that is too narrow for them, each row as a block of lines.

    Args:
        columns: The names; columns in which every cell is empty are left out.
        rows: The cells.
        right: Columns that are flushed right.
        spare: Columns that a narrow terminal does without.
    """
    kept = [place for place, _ in enumerate(columns) if any(row[place] for row in rows)]
    names, cells = [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
    if not sys.stdout.isatty():
        lines = plain_table(names, cells, right=right)
    else:
        room = get_terminal_size().columns
        if _needed(names, cells) > room:
            kept = [place for place, name in enumerate(names) if name not in spare]
            names, cells = [names[place] for place in kept], [[row[place] for place in kept] for row in cells]
        if _needed(names, cells) <= room:
            _rich(names, cells, right)
            return
        lines = _blocks(names, cells)
    for line in lines:
        typer.echo(line)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """Return a table as lines of aligned text."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    flushed = [str.rjust if name in right else str.ljust for name in columns]
    return [
        "  ".join(flush(cell, width) for flush, cell, width in zip(flushed, row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]


def shortened(text: str, other: str, length: int) -> str:
    """Return a text that is compared with another, cut to a length so that where they differ is seen.

    Args:
        text: The text.
        other: What stands beside it.
        length: In characters.
    """
    if len(text) <= length:
        return text
    same = next((place for place, (one, two) in enumerate(zip(text, other, strict=False)) if one != two), len(other))
    start = same - length // 3 if same > length * 2 // 3 else 0
    end = start + length - 1
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def _needed(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """Return how wide a terminal must be for a table, in characters."""
    cells = zip(columns, *rows, strict=True)
    return sum(_least(name, column) for name, column in zip(columns, cells, strict=True)) + _GAP * len(columns)


def _least(name: str, column: Sequence[str]) -> int:
    """Return how narrow a column may be, its name among its cells."""
    if name in _WRAPPED:
        return min(_LONGEST_WORD, max(len(word) for cell in column for word in cell.split()))
    width = max(map(len, column))
    return min(width, _SHORTENED.get(name, width))


def _blocks(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows one below the other, each cell on a line of its own behind its column's name."""
    width = max(map(len, columns))
    blocks = [[f"{name:<{width}}  {cell}" for name, cell in zip(columns, row, strict=True) if cell] for row in rows]
    return [line for block in blocks for line in ("", *block)][1:]


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, column in zip(columns, zip(columns, *rows, strict=True), strict=True):
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name not in _WRAPPED,
            overflow="fold" if name in _WRAPPED else "ellipsis",
            min_width=_least(name, column),
        )
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
