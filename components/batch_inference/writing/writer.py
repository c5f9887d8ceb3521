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
class Target:
    """What is written where.

    Attributes:
        path: The file.
        compression: How it is compressed.
        signature: What was asked; its outputs are those that are written.
        passed: The columns that are passed through.
        model_name: The model's name, where it has one.
        model_version: Its version, where it has one.
    """

    path: Path
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


def open_writer(output: OutputFormat, target: Target) -> Writer:
    """Return a writer for a new file.

    Raises:
        OSError: The file cannot be made.
    """
    return _OPEN[output](target)


def _json_lines(target: Target) -> Writer:
    from penstock.components.batch_inference.writing.json_lines import JsonLinesWriter

    return JsonLinesWriter(target)


def _csv(target: Target) -> Writer:
    from penstock.components.batch_inference.writing.csv import CsvWriter

    return CsvWriter(target)


def _parquet(target: Target) -> Writer:
    from penstock.components.batch_inference.writing.parquet import ParquetWriter

    return ParquetWriter(target)


def _prediction_log(target: Target) -> Writer:
    from penstock.components.batch_inference.writing.prediction_log import PredictionLogWriter

    return PredictionLogWriter(target)


def _tf_example(target: Target) -> Writer:
    from penstock.components.batch_inference.writing.examples import ExampleWriter

    return ExampleWriter(target)


_OPEN: dict[OutputFormat, Callable[[Target], Writer]] = {
    "jsonl": _json_lines,
    "csv": _csv,
    "parquet": _parquet,
    "prediction_log": _prediction_log,
    "tf_example": _tf_example,
}
