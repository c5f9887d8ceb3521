"""Rows of BigQuery → predictions in BigQuery, with Beam's own IO. Nothing is connected to before the pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.io.gcp.bigquery import BigQueryDisposition, ReadFromBigQuery, WriteToBigQuery
from apache_beam.io.gcp.bigquery_tools import parse_table_reference

from penstock.components.batch_inference.beam.elements import Selection, score_rows
from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.plain import plain_value
from penstock.errors import ConfigError
from penstock.serving.saved_model import SignatureInfo, TensorInfo

_KINDS = {"float": "FLOAT64", "bfloat": "FLOAT64", "int": "INT64", "uint": "INT64", "bool": "BOOL", "string": "STRING"}
_ERRORS = {
    "fields": [
        {"name": "cause", "type": "STRING", "mode": "REQUIRED"},
        {"name": "original", "type": "STRING", "mode": "REQUIRED"},
    ]
}


@dataclass(frozen=True)
class TableJob:
    """A table to score.

    Attributes:
        source: ``project.dataset.table``, or a query in standard SQL.
        results: ``project.dataset.table`` for the rows with a prediction. What it holds is replaced.
        errors: Likewise, for the rows without one: cause and original.
        selection: What a result has besides the outputs; key and columns are written as text.
    """

    source: str
    results: str
    errors: str
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        for table in (self.results, self.errors, *([] if self.is_query else [self.source])):
            _require_table(table)

    @property
    def is_query(self) -> bool:
        """Whether the source is a query."""
        return " " in self.source.strip()


def score_table(pipeline: Any, job: TableJob, handler: SavedModelHandler, signature: SignatureInfo) -> None:
    """Let a pipeline score the rows of a table or query.

    A table is read by the Storage API, a query by an export, for which the pipeline needs ``--temp_location``; results
    are written by load jobs, which need it as well.

    Args:
        pipeline: A pipeline.
        job: From where to where.
        handler: The model.
        signature: What it asks; its outputs become columns.

    Raises:
        ConfigError: An output has a shape or a type that BigQuery has not.
    """
    schema = result_schema(job.selection, signature.outputs)
    rows = pipeline | "Rows" >> _read(job)
    scored = score_rows(rows, handler, job.selection)
    texts = frozenset(_passed(job.selection))
    _ = scored.results | "Result" >> beam.Map(_result, texts) | "Results" >> _write(job.results, schema)
    _ = scored.errors | "Error" >> beam.MapTuple(_error) | "Errors" >> _write(job.errors, _ERRORS)


def result_schema(selection: Selection, outputs: Sequence[TensorInfo]) -> dict[str, Any]:
    """Return the columns of the results.

    Raises:
        ConfigError: An output has a shape or a type that BigQuery has not, or the name of another column.
    """
    passed = _passed(selection)
    for output in outputs:
        if output.name in passed:
            raise ConfigError(
                f"two columns of the results would have the name {output.name!r}",
                expected="other names for what is passed through and for the outputs",
            )
    columns = [{"name": name, "type": "STRING", "mode": "NULLABLE"} for name in passed]
    return {"fields": [*columns, *map(_column, outputs)]}


def _passed(selection: Selection) -> list[str]:
    return [*(["key"] if selection.key else []), *selection.include]


def _column(output: TensorInfo) -> dict[str, str]:
    kind = _KINDS.get(output.dtype.rstrip("0123456789"))
    dimensions = None if output.shape is None else len(output.shape)
    if kind is None or dimensions not in (1, 2):
        raise ConfigError(
            f"the output {output.name!r} fits into no column of BigQuery",
            received=f"{output.dtype} with {'an open number of' if dimensions is None else dimensions} dimensions",
            expected="numbers, truth values or texts: one a row, or a list of them",
            hint="choose among the outputs with `outputs`",
        )
    return {"name": output.name, "type": kind, "mode": "NULLABLE" if dimensions == 1 else "REPEATED"}


def _read(job: TableJob) -> Any:
    if job.is_query:
        return ReadFromBigQuery(query=job.source, use_standard_sql=True, method=ReadFromBigQuery.Method.EXPORT)
    return ReadFromBigQuery(table=job.source, method=ReadFromBigQuery.Method.DIRECT_READ)


def _write(table: str, schema: Mapping[str, Any]) -> Any:
    return WriteToBigQuery(
        table=table,
        schema=schema,
        method=WriteToBigQuery.Method.FILE_LOADS,
        create_disposition=BigQueryDisposition.CREATE_IF_NEEDED,
        write_disposition=BigQueryDisposition.WRITE_TRUNCATE,
    )


def _require_table(table: str) -> None:
    problem: ValueError | None = None
    try:
        if parse_table_reference(table).projectId:
            return
    except ValueError as error:
        problem = error
    raise ConfigError("BigQuery has no such table", received=table, expected="PROJECT.DATASET.TABLE") from problem


def _result(row: Mapping[str, Any], texts: frozenset[str]) -> dict[str, Any]:
    return {name: _text(value) if name in texts else plain_value(value) for name, value in row.items()}


def _error(row: Mapping[str, Any], cause: str) -> dict[str, Any]:
    return {"cause": cause, "original": _text(row)}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    plain = plain_value(value)
    return plain if isinstance(plain, str) else orjson.dumps(plain).decode()
