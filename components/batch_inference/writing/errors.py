"""The rows that got no prediction, as JSON Lines: file, row, cause, and the original."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from penstock.components.batch_inference.report import MOST_CAUSES, OTHER
from penstock.components.batch_inference.rows import BadRow


class ErrorsFile:
    """Writes the errors of a shard; the file is made at the first one.

    Args:
        path: The file.
        file: The input file that the rows are of.

    Attributes:
        rows: Rows that were lost, a count; a loss that cannot be counted stands for one.
        uncounted: Losses that cannot be counted.
        causes: Cause → rows.
    """

    def __init__(self, path: Path, file: str) -> None:
        self._path = path
        self._file = file
        self._stream: BinaryIO | None = None
        self.rows = 0
        self.uncounted = 0
        self.causes: Counter[str] = Counter()

    @property
    def exists(self) -> bool:
        """Whether there was any error."""
        return self._stream is not None

    def write(self, bad: Iterable[BadRow]) -> None:
        """Append rows.

        Raises:
            OSError: The file cannot be written.
        """
        for row in bad:
            if self._stream is None:
                self._stream = self._path.open("wb")
            self._stream.write(orjson.dumps(self._told(row)) + b"\n")
            lost = max(row.lost, 1)
            self.rows += lost
            self.uncounted += row.lost < 0
            known = row.cause in self.causes or len(self.causes) < MOST_CAUSES
            self.causes[row.cause if known else OTHER] += lost

    def close(self) -> None:
        """Finish the file, if there is any."""
        if self._stream is not None:
            self._stream.close()

    def _told(self, row: BadRow) -> dict[str, Any]:
        told: dict[str, Any] = {"file": self._file, "row": row.number, "cause": row.cause}
        if row.lost < 0:
            told["rows_lost"] = None
        elif row.lost > 1:
            told["rows_lost"] = row.lost
        return told | ({} if row.original is None else {"original": _original(row.original)})


def _original(original: bytes) -> Any:
    """Return what the file holds: as JSON where it is some, as text where it is text, as base64 otherwise."""
    try:
        return orjson.loads(original)
    except orjson.JSONDecodeError:
        pass
    try:
        return original.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(original).decode()}
