from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from penstock.components.batch_inference.beam import bigquery as module
from penstock.components.batch_inference.beam.bigquery import TableJob, result_schema, score_table
from penstock.components.batch_inference.beam.elements import Selection
from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.request import PinnedModel
from penstock.components.batch_inference.scoring.scorer import signature_of
from penstock.errors import ConfigError
from penstock.serving.saved_model import TensorInfo

_JOB = TableJob("project.d.rows", "project.d.results", "project.d.errors", Selection("id", ("note",)))
_SCHEMA = {
    "fields": [
        {"name": "key", "type": "STRING", "mode": "NULLABLE"},
        {"name": "note", "type": "STRING", "mode": "NULLABLE"},
        {"name": "sum", "type": "FLOAT64", "mode": "NULLABLE"},
        {"name": "y", "type": "FLOAT64", "mode": "REPEATED"},
    ]
}


class Written(beam.PTransform):  # type: ignore[misc]  # Beam is untyped.
    """Takes the place of a table: keeps what is written, by table."""

    rows: dict[str, list[Any]]

    def __init__(self, table: str, schema: dict[str, Any]) -> None:
        super().__init__()
        self._table = table
        self._schema = schema

    def expand(self, rows: Any) -> Any:
        names = [column["name"] for column in self._schema["fields"]]
        return rows | beam.Map(lambda row, table: Written.rows.setdefault(table, []).append((names, row)), self._table)


@pytest.mark.usefixtures("no_credentials")
@pytest.mark.parametrize("source", ["project.d.rows", "project:d.rows", "SELECT * FROM project.d.rows"])
def test_the_pipeline_is_built_without_a_connection(scaler: PinnedModel, source: str):
    options = PipelineOptions(["--project=project", "--temp_location=gs://b/tmp", "--region=europe-west1"])
    pipeline = beam.Pipeline(options=options)
    job = TableJob(source, "project.d.results", "project.d.errors", Selection("id", ("note",)))
    score_table(pipeline, job, SavedModelHandler(scaler.path), signature_of(Path(scaler.path), "serving_default"))
    names = {transform.unique_name for transform in pipeline.to_runner_api().components.transforms.values()}
    assert {"Rows", "Score", "Results/BigQueryBatchFileLoads", "Errors/BigQueryBatchFileLoads"} <= names


@pytest.mark.usefixtures("no_credentials")
def test_rows_of_tables_become_rows_of_tables(scaler: PinnedModel, monkeypatch: pytest.MonkeyPatch):
    rows = [
        {"id": 1, "x": [Decimal(1), Decimal("2.5")], "note": dt.date(2026, 11, 25)},
        {"id": 2, "x": [-1.0, 2.0], "note": None},
        {"id": 3, "x": [0.1, 0.2], "note": None},
    ]
    monkeypatch.setattr(module, "_read", lambda job: beam.Create(rows))
    monkeypatch.setattr(module, "_write", Written)
    Written.rows = {}
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        score_table(pipeline, _JOB, SavedModelHandler(scaler.path), signature_of(Path(scaler.path), "serving_default"))
    results, errors = Written.rows["project.d.results"], Written.rows["project.d.errors"]
    assert [row for _, row in results] == [
        {"key": "1", "note": "2026-11-25", "sum": 7.0, "y": [2.0, 5.0]},
        {"key": "3", "note": None, "sum": 0.6, "y": [0.2, 0.4]},
    ]
    assert all(list(row) == names for names, row in [*results, *errors])
    ((_, error),) = errors
    assert error["cause"].startswith("the model refuses it: ")
    assert error["original"] == '{"id":2,"x":[-1.0,2.0],"note":null}'


def test_the_columns_of_the_results_are_those_of_the_signature(scaler: PinnedModel):
    outputs = signature_of(Path(scaler.path), "serving_default").outputs
    assert result_schema(_JOB.selection, outputs) == _SCHEMA
    kinds = [TensorInfo("t", kind, (None,)) for kind in ("string", "bool", "uint8", "int64", "bfloat16", "float64")]
    types = [column["type"] for column in result_schema(Selection(), kinds)["fields"]]
    assert types == ["STRING", "BOOL", "INT64", "INT64", "FLOAT64", "FLOAT64"]


@pytest.mark.parametrize(
    ("output", "received"),
    [
        (TensorInfo("y", "float32", (None, 2, 2)), "float32 with 3 dimensions"),
        (TensorInfo("y", "float32", None), "float32 with an open number of dimensions"),
        (TensorInfo("y", "complex64", (None,)), "complex64 with 1 dimensions"),
    ],
)
def test_an_output_that_fits_into_no_column_is_said(output: TensorInfo, received: str):
    with pytest.raises(ConfigError) as caught:
        result_schema(Selection(), [output])
    assert str(caught.value) == (
        f"the output 'y' fits into no column of BigQuery\n  received: {received}\n"
        "  expected: numbers, truth values or texts: one a row, or a list of them\n"
        "  next: choose among the outputs with `outputs`"
    )


def test_two_columns_of_one_name_are_said():
    with pytest.raises(ConfigError, match="two columns of the results would have the name 'y'"):
        result_schema(Selection(include=("y",)), [TensorInfo("y", "float32", (None,))])


@pytest.mark.parametrize("table", ["rows", "d.rows", "p.d.rows.x", ""])
def test_a_table_that_is_none_is_said(table: str):
    with pytest.raises(ConfigError, match="BigQuery has no such table"):
        TableJob(table, "project.d.results", "project.d.errors")
