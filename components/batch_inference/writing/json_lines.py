"""Predictions as JSON Lines: one object a row, with its key, the columns passed through, and the outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from penstock.components.batch_inference.writing.json_values import json_of_array, json_of_column, json_of_texts
from penstock.components.batch_inference.writing.streams import open_bytes
from penstock.components.batch_inference.writing.writer import KEY, Writing

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Predictions


class JsonLinesWriter:
    """Writes JSON Lines.

    Args:
        path: The file.
        writing: How it is written.
    """

    def __init__(self, path: Path, writing: Writing) -> None:
        names = [KEY, *writing.passed.names, *(output.name for output in writing.signature.outputs)]
        fields = [orjson.dumps(name).replace(b"%", b"%%") + b":%b" for name in names]
        self._line = b"{" + b",".join(fields) + b"}\n"
        self._stream = open_bytes(path, writing.compression)

    def encode(self, predictions: Predictions) -> bytes:
        """Return lines."""
        columns = [
            json_of_texts(predictions.keys),
            *map(json_of_column, predictions.columns.columns),
            *map(json_of_array, predictions.outputs.values()),
        ]
        line = self._line
        return b"".join([line % row for row in zip(*columns, strict=True)])

    def append(self, encoded: bytes) -> None:
        """Write lines."""
        self._stream.write(encoded)

    def close(self) -> None:
        """Finish the file."""
        self._stream.close()
