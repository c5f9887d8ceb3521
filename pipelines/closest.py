"""The nearest known word to a mistyped one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

_CUTOFF = 0.6
_LONGEST = 100
"""difflib is quadratic in the length of the words; nobody mistypes a longer name."""


def closest(word: str, words: Iterable[str]) -> str | None:
    """Return the word that ``word`` was probably meant to be, or None when none is near.

    Args:
        word: What was received.
        words: What is known. Case is ignored in the comparison, the answer keeps the case of ``words``.
    """
    if len(word) > _LONGEST:
        return None
    by_folded: dict[str, str] = {}
    for known in words:
        by_folded.setdefault(known.casefold(), known)
    matches = get_close_matches(word.casefold(), by_folded, n=1, cutoff=_CUTOFF)
    return by_folded[matches[0]] if matches else None


def did_you_mean(word: str, words: Iterable[str]) -> str | None:
    """Return ``did you mean 'epochs'?`` for the closest of ``words``, or None when none is near."""
    match = closest(word, words)
    return f"did you mean {match!r}?" if match is not None else None
