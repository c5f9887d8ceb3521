"""Predictions as Parquet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from penstock.components.batch_inference.writing.table import table_of, table_schema
from penstock.components.batch_inference.writing.writer import Writing

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.components.batch_inference.rows import Predictions

_GROUP_ROWS = 1 << 16
"""Rows of a row group, a count, at most; a group is in memory until it is full."""


class ParquetWriter:
    """Writes Parquet.

    Args:
        path: The file.
        writing: How it is written.
    """

    def __init__(self, path: Path, writing: Writing) -> None:
        self._schema = table_schema(writing)
        # Predictions hardly repeat: a dictionary would be built and thrown away.
        self._writer = pq.ParquetWriter(path, self._schema, compression=writing.compression, use_dictionary=False)

    def encode(self, predictions: Predictions) -> pa.RecordBatch:
        """Return rows."""
        return table_of(predictions, self._schema)

    def append(self, encoded: pa.RecordBatch) -> None:
        """Write rows; small blocks share a row group."""
        self._writer.write_batch(encoded, row_group_size=_GROUP_ROWS)

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
