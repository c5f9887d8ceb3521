"""Why a step failed, in the words that are kept in ML Metadata."""

from __future__ import annotations

from penstock.errors import PenstockError
from penstock.pipelines.config import Document

LIMIT = 500
"""Characters of a reason; what is longer ends with "…", and is in the step's log."""


def reason_of(error: PenstockError, step: str, document: Document) -> str:
    """Return an error as one line: where, what, and what was received.

    Args:
        error: What the terminal shows.
        step: The step, whose name the reason leaves out: it is kept with the step.
        document: The config; values that it takes from the environment are replaced by their names.
    """
    where = f"{error.where}: " if error.where and error.where != step else ""
    received = f" (received {error.received})" if error.received else ""
    # Hidden first: afterwards a part of a secret would be no secret any more.
    text = " ".join(document.without_secrets(f"{where}{error.what}{received}").split())
    return text if len(text) <= LIMIT else f"{text[: LIMIT - 1]}…"
