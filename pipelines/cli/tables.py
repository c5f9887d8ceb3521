"""Tables and figures on a terminal; in a pipe plain columns, nothing cut and nothing coloured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime

import typer

_FOLDED = "metric"
"""The column that gives way on a narrow terminal."""
_SECONDS = ((3600, "h", 60, "min"), (60, "min", 1, "s"))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> None:
    """Print rows under their columns' names.

    Args:
        columns: The names; columns in which every cell is empty are left out.
        rows: The cells.
        right: Columns that are flushed right.
    """
    kept = [place for place, _ in enumerate(columns) if any(row[place] for row in rows)]
    names, cells = [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]
    if sys.stdout.isatty():
        _rich(names, cells, right)
    else:
        for line in plain_table(names, cells, right=right):
            typer.echo(line)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    """Return a table as lines of aligned text."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    flushed = [str.rjust if name in right else str.ljust for name in columns]
    return [
        "  ".join(flush(cell, width) for flush, cell, width in zip(flushed, row, widths, strict=True)).rstrip()
        for row in (columns, *rows)
    ]


def moment(milliseconds: int) -> str:
    """Return a time since 1970, in the local zone."""
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def duration(seconds: float) -> str:
    """Return how long something took, in the two largest units."""
    for size, unit, smaller_size, smaller in _SECONDS:
        if seconds >= size:
            whole, rest = divmod(seconds, size)
            return f"{whole:.0f} {unit} {rest // smaller_size:.0f} {smaller}"
    return f"{seconds:.1f} s"


def _rich(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", no_wrap=name != _FOLDED)
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
