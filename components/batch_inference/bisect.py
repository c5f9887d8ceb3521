"""Finds the bad rows of a batch that is refused as a whole: half by half, so that each costs itself only."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from penstock.serving.saved_model import tensorflow_message

Answer = TypeVar("Answer")

_QUOTED_ROW = re.compile(r", value: '.*", re.DOTALL)


class Refused(Exception):  # noqa: N818  It is an answer about rows; the caller goes on.
    """Some row of a range is bad; of a single row, the message says why."""


@dataclass(frozen=True)
class Found(Generic[Answer]):
    """What became of a batch.

    Attributes:
        parts: Ranges of good rows, ascending: the first row, the one after the last, and the answer.
        bad: Position and cause of each bad row, ascending.
    """

    parts: tuple[tuple[int, int, Answer], ...]
    bad: tuple[tuple[int, str], ...]


def bisect(ask: Callable[[int, int], Answer], rows: int) -> Found[Answer]:
    """Ask about all rows, and where that is refused about halves, down to single rows.

    Args:
        ask: Answers about the rows from a first to one before which to stop.
        rows: Rows, a count.
    """
    parts: list[tuple[int, int, Answer]] = []
    bad: list[tuple[int, str]] = []
    pending = [(0, rows)] if rows else []
    while pending:
        start, stop = pending.pop()
        try:
            parts.append((start, stop, ask(start, stop)))
        except Refused as refusal:
            if stop - start == 1:
                bad.append((start, str(refusal)))
            else:
                middle = (start + stop) // 2
                pending += [(middle, stop), (start, middle)]
    return Found(tuple(parts), tuple(bad))


def cause_of(error: BaseException) -> str:
    """Return the sentence that says why TensorFlow refused something, without the row that some of them quote.

    Args:
        error: Of TensorFlow; or a UnicodeDecodeError, which it raises in place of one whose message quotes the row and
            is no text.
    """
    if isinstance(error, UnicodeDecodeError):
        error = ValueError(error.object.decode("utf-8", "replace"))
    # The row stands in the errors file; without it equal faults are one cause.
    return _QUOTED_ROW.sub("", tensorflow_message(error))
