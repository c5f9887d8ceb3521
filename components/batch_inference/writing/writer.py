"""What all writers have in common, and which one a format has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from penstock.components.batch_inference.words import Compression, OutputFormat
from penstock.serving.saved_model import SignatureInfo

if TYPE_CHECKING:
    import pyarrow as pa

    from penstock.components.batch_inference.rows import Predictions

KEY = "key"
"""The output column that identifies a row."""


@dataclass(frozen=True)
class Writing:
    """How results are written.

    Attributes:
        format: What the files hold.
        compression: How they are compressed.
        signature: What is asked; its outputs are those that are written.
        passed: The columns that are passed through.
        model_name: The model's name, where it has one.
        model_version: Its version, where it has one.
    """

    format: OutputFormat
    compression: Compression
    signature: SignatureInfo
    passed: pa.Schema
    model_name: str = ""
    model_version: int | None = None


class Writer(Protocol):
    """Writes one file."""

    def encode(self, predictions: Predictions) -> Any:
        """Return the predictions of one or more rows as the file holds them. May be called by many threads at once."""

    def append(self, encoded: Any) -> None:
        """Write what :meth:`encode` has returned. For one thread, like :meth:`close`.

        Raises:
            OSError: The file cannot be written.
        """

    def close(self) -> None:
        """Finish the file, also where nothing was written.

        Raises:
            OSError: The file cannot be written.
        """


def open_writer(path: Path, writing: Writing) -> Writer:
    """Return a writer for a new file.

    Raises:
        OSError: The file cannot be made.
    """
    return _OPEN[writing.format](path, writing)


def _json_lines(path: Path, writing: Writing) -> Writer:
    from penstock.components.batch_inference.writing.json_lines import JsonLinesWriter

    return JsonLinesWriter(path, writing)


def _csv(path: Path, writing: Writing) -> Writer:
    from penstock.components.batch_inference.writing.csv import CsvWriter

    return CsvWriter(path, writing)


def _parquet(path: Path, writing: Writing) -> Writer:
    from penstock.components.batch_inference.writing.parquet import ParquetWriter

    return ParquetWriter(path, writing)


def _prediction_log(path: Path, writing: Writing) -> Writer:
    from penstock.components.batch_inference.writing.prediction_log import PredictionLogWriter

    return PredictionLogWriter(path, writing)


def _tf_example(path: Path, writing: Writing) -> Writer:
    from penstock.components.batch_inference.writing.examples import ExampleWriter

    return ExampleWriter(path, writing)


_OPEN: dict[OutputFormat, Callable[[Path, Writing], Writer]] = {
    "jsonl": _json_lines,
    "csv": _csv,
    "parquet": _parquet,
    "prediction_log": _prediction_log,
    "tf_example": _tf_example,
}
