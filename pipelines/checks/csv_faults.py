"""What keeps TFX from reading a CSV file: it splits the first line at commas into names, and strips no quotes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_OTHER_SEPARATORS = {";": "';'", "\t": "a TAB", "|": "'|'"}
_ORDER_MARK = "\ufeff"
_NAMES = "a first line with one distinct name a column, separated by commas"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file.

    Attributes:
        what: What it has, to stand behind the file's name and "has".
        expected: What would have been right.
        hint: What to do next.
    """

    what: str
    expected: str
    hint: str


def header_fault(header: Sequence[str]) -> Fault | None:
    """Return what is wrong with the names of the columns, None where nothing is."""
    if header[0].startswith(_ORDER_MARK):
        return Fault(
            "a byte order mark before its header, which would become a part of the first name",
            expected="UTF-8 text without a mark",
            hint="save it as UTF-8 without a BOM",
        )
    if any('"' in name for name in header):
        return Fault(
            "a header in quotes, which would become a part of the names",
            expected=_NAMES,
            hint="write it without quotes",
        )
    separator = next(
        (words for sign, words in _OTHER_SEPARATORS.items() if len(header) == 1 and sign in header[0]), None
    )
    if separator is not None:
        return Fault(f"no header: {separator} separates its columns", expected=_NAMES, hint="save it with commas")
    why = _no_names(header)
    return (
        Fault(f"no header: {why}", expected=_NAMES, hint="write the column names into its first line") if why else None
    )


def row_fault(header: Sequence[str], row: Sequence[str] | None) -> Fault | None:
    """Return what is wrong with the first row, None where nothing is."""
    if row is None:
        return Fault("a header and no rows", expected="at least one row", hint="add rows, or take the file away")
    if len(row) == len(header):
        return None
    return Fault(
        f"{_cells(row)} in its first row and {_cells(header)} in its header",
        expected="as many in each row as in the header",
        hint="name every column in the first line; put cells with commas in quotes",
    )


def _no_names(header: Sequence[str]) -> str | None:
    """Return why the cells of a first line are not names, None where they are."""
    if list(header) == [""]:
        return "its first line is empty"
    if all(is_number(name) for name in header):
        return "its first line holds only numbers"
    if not all(name.strip() for name in header):
        return "a cell of its first line is empty"
    repeated = sorted({name for name in header if list(header).count(name) > 1})
    return f"its first line repeats {', '.join(repeated)}" if repeated else None


def _cells(row: Sequence[str]) -> str:
    return "1 cell" if len(row) == 1 else f"{len(row)} cells"


def is_number(cell: str) -> bool:
    """Whether a cell is read as a number."""
    try:
        float(cell)
    except ValueError:
        return False
    return True
