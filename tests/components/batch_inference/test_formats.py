"""Every format in, every format out: the same rows come to the same predictions, in order."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from pyarrow import csv

from penstock.components.batch_inference import score_shard
from tests.components.batch_inference.conftest import example

ROWS = [[float(n), n + 0.5] for n in range(7)]
EXPECTED = [{"y": [2 * a, 2 * b], "sum": 2 * (a + b)} for a, b in ROWS]


def _examples():
    return [example(x=row, id=n, name=f"row {n}") for n, row in enumerate(ROWS)]


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
@pytest.mark.parametrize("name", ["rows.tfrecord", "rows.tfrecord.gz"])
def test_tfrecords(scoring, name, signature):
    scoring.records(name, _examples())
    result = scoring.run(name, signature=signature, output={"include": ["id", "name"]})
    assert (result.rows, result.results, result.errors) == (7, 7, 0)
    assert scoring.lines() == [
        {"key": f"{name}:{n}", "id": n, "name": f"row {n}", "sum": want["sum"], "y": want["y"]}
        for n, want in enumerate(EXPECTED)
    ]


@pytest.mark.parametrize("name", ["data_tfrecord-00000-of-00001.gz", "eval-00000-of-00001", "eval.gz", "part-0"])
def test_what_a_file_holds_is_told_by_its_name_or_its_content(scoring, name):
    if name == "part-0":
        pq.write_table(pa.table({"x": ROWS}), scoring.folder / name)
    else:
        scoring.records(name, _examples())
    result = scoring.run(name)
    assert (result.rows, result.errors) == (7, 0)
    assert scoring.manifest()["inputs"][0]["format"] == ("parquet" if name == "part-0" else "tfrecord")


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
@pytest.mark.parametrize("name", ["rows.csv", "rows.csv.gz"])
def test_csv(scoring, name, signature):
    scoring.write(name, "id,x\n" + "".join(f'00{n},"{json.dumps(row)}"\n' for n, row in enumerate(ROWS)))
    scoring.run(name, signature=signature, input={"key": "id"}, output={"include": ["id"]})
    assert scoring.lines() == [{"key": f"00{n}", "id": f"00{n}", **want} for n, want in enumerate(EXPECTED)]


def test_csv_without_a_header(scoring):
    scoring.write("rows.csv", "".join(f'{n},"{json.dumps(row)}"\n' for n, row in enumerate(ROWS)))
    scoring.run("rows.csv", input={"columns": ["id", "x"], "key": "id"})
    assert scoring.lines() == [{"key": str(n), **want} for n, want in enumerate(EXPECTED)]


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json.gz"])
def test_json_objects(scoring, name, signature):
    scoring.write(name, "\n".join(json.dumps({"x": row, "id": n, "more": {"a": n}}) for n, row in enumerate(ROWS)))
    scoring.run(name, signature=signature, output={"include": ["id", "more"]})
    assert scoring.lines() == [
        {"key": f"{name}:{n}", "id": n, "more": {"a": n}, **want} for n, want in enumerate(EXPECTED)
    ]


def test_json_values(scoring):
    scoring.write("rows.jsonl", "\n\n".join(json.dumps(row) for row in ROWS))
    scoring.run("rows.jsonl")
    assert scoring.lines() == [{"key": f"rows.jsonl:{n}", **want} for n, want in enumerate(EXPECTED)]


def test_json_lists_of_named_columns(scoring):
    scoring.write("rows.jsonl", "\n".join(json.dumps([n, row]) for n, row in enumerate(ROWS)))
    scoring.run("rows.jsonl", input={"columns": ["id", "x"], "key": "id"})
    assert scoring.lines() == [{"key": str(n), **want} for n, want in enumerate(EXPECTED)]


def test_whole_numbers_in_the_first_json_rows_do_not_decide(scoring):
    scoring.write("rows.jsonl", "\n".join(['{"x": [1, 2]}'] * 150 + ['{"x": [0.5, 1.5]}']))
    scoring.run("rows.jsonl")
    assert scoring.lines()[-1] == {"key": "rows.jsonl:150", "y": [1.0, 3.0], "sum": 4.0}


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
def test_parquet(scoring, signature):
    table = pa.table({"x": ROWS, "id": pa.array([str(n) for n in range(7)]).dictionary_encode()})
    pq.write_table(table, scoring.folder / "rows.parquet", row_group_size=3)
    scoring.run("rows.parquet", signature=signature, input={"key": "id"})
    assert scoring.lines() == [{"key": str(n), **want} for n, want in enumerate(EXPECTED)]


def test_file_list(scoring):
    for n, record in enumerate(_examples()):
        scoring.write(f"rows/{n}.pb", record)
    scoring.write("list.txt", "".join(f"rows/{n}.pb\n" for n in range(7)))
    scoring.run("list.txt", signature="serialized", input={"format": "file_list"})
    assert scoring.lines() == [{"key": f"rows/{n}.pb", **want} for n, want in enumerate(EXPECTED)]


def _written(scoring, name, **output):
    scoring.records("rows.tfrecord", _examples())
    scoring.run("rows.tfrecord", signature="serialized", output={**output, "include": output.pop("include", ["id"])})
    return str(scoring.output / f"prediction.results-00000-of-00001{name}")


@pytest.mark.parametrize(("compression", "ending"), [("none", ""), ("gzip", ".gz")])
def test_csv_out(scoring, compression, ending):
    file = _written(scoring, f".csv{ending}", format="csv", compression=compression)
    rows = csv.read_csv(file).to_pylist()
    assert [{**row, "y": json.loads(row["y"])} for row in rows] == [
        {"key": f"rows.tfrecord:{n}", "id": n, **want} for n, want in enumerate(EXPECTED)
    ]


def test_parquet_out(scoring):
    table = pq.read_table(_written(scoring, ".parquet", format="parquet"))
    assert table.to_pylist() == [{"key": f"rows.tfrecord:{n}", "id": n, **want} for n, want in enumerate(EXPECTED)]
    assert table.schema.field("y").type == pa.list_(pa.float32())


@pytest.mark.parametrize(("compression", "ending"), [("none", ""), ("gzip", ".gz")])
def test_tf_examples_out(scoring, compression, ending):
    file = _written(scoring, f".tfrecord{ending}", format="tf_example", compression=compression, include=["id", "name"])
    found = [
        tf.train.Example.FromString(record)
        for record in tf.data.TFRecordDataset(file, compression_type=ending and "GZIP").as_numpy_iterator()
    ]
    assert found == [
        tf.train.Example.FromString(
            example(key=f"rows.tfrecord:{n}", id=n, name=f"row {n}", sum=want["sum"], y=want["y"])
        )
        for n, want in enumerate(EXPECTED)
    ]


def test_predictions_join_the_features_of_whole_examples(scoring):
    file = _written(scoring, ".tfrecord.gz", format="tf_example", include=["*"])
    record = next(iter(tf.data.TFRecordDataset(file, compression_type="GZIP").as_numpy_iterator()))
    want = example(x=ROWS[0], id=0, name="row 0", key="rows.tfrecord:0", **EXPECTED[0])
    assert tf.train.Example.FromString(record) == tf.train.Example.FromString(want)


def test_prediction_logs_out(scoring):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    file = _written(scoring, ".tfrecord.gz", format="prediction_log", include=[])
    records = list(tf.data.TFRecordDataset(file, compression_type="GZIP").as_numpy_iterator())
    logs = [PredictionLog.FromString(record).predict_log for record in records]
    assert [log.request.inputs["examples"].string_val[0] for log in logs] == _examples()
    for log, want in zip(logs, EXPECTED, strict=True):
        assert tf.make_ndarray(log.response.outputs["y"]).tolist() == [want["y"]]
        assert tf.make_ndarray(log.response.outputs["sum"]).tolist() == [want["sum"]]
        for spec in (log.request.model_spec, log.response.model_spec):
            assert (spec.name, spec.version.value, spec.signature_name) == ("scaler", 1, "serialized")
    assert list(tf.make_ndarray(logs[0].request.inputs["examples"]).shape) == [1]


def test_order_and_names_of_several_files(scoring):
    for letter in "ba":
        scoring.write(f"{letter}.jsonl", "\n".join(json.dumps({"x": [1.0, n]}) for n in range(3)))
    result = scoring.run("*.jsonl", batch={"max_rows": 2})
    assert result.files == ("prediction.results-00000-of-00002.jsonl", "prediction.results-00001-of-00002.jsonl")
    assert [(row["key"], row["y"][1]) for row in scoring.lines()] == [
        (f"{letter}.jsonl:{n}", 2.0 * n) for letter in "ab" for n in range(3)
    ]


@pytest.mark.parametrize("kind", ["tfrecord", "jsonl", "parquet"])
def test_large_files_become_several_shards_in_order(scoring, kind):
    rows = [[1.0, float(n)] for n in range(100)]
    if kind == "tfrecord":
        scoring.records("rows.tfrecord", [example(x=row) for row in rows])
    elif kind == "jsonl":
        scoring.write("rows.jsonl", "\n\n".join(json.dumps({"x": row}) for row in rows))
    else:
        pq.write_table(pa.table({"x": rows}), scoring.folder / "rows.parquet", row_group_size=7)
    result = scoring.run(f"rows.{kind}", input={"split_size": "500B"})
    assert len(result.files) > 2
    assert [(row["key"], row["y"][1]) for row in scoring.lines()] == [(f"rows.{kind}:{n}", 2.0 * n) for n in range(100)]
    shards = scoring.manifest()["shards"]
    assert [shard["first_row"] for shard in shards] == np.cumsum([0, *(s["rows"] for s in shards[:-1])]).tolist()


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet", "tf_example", "prediction_log"])
def test_large_predictions_are_encoded_in_parts(scoring, kind, monkeypatch):
    scoring.records("rows.tfrecord", _examples())
    whole, parted = scoring.folder / "whole", scoring.folder / "parted"
    for folder, size in ((whole, 1 << 28), (parted, 100)):
        monkeypatch.setattr(score_shard, "_PART_BYTES", size)
        scoring.run("rows.tfrecord", signature="serialized", output={"format": kind, "compression": "none"})
        scoring.output.rename(folder)
    (first,), (second,) = (list(folder.glob("prediction.results-*")) for folder in (whole, parted))
    if kind == "parquet":
        assert pq.read_table(first) == pq.read_table(second)
    else:
        assert first.read_bytes() == second.read_bytes()


def test_keys_that_are_no_text(scoring):
    pq.write_table(pa.table({"x": ROWS[:2], "id": [b"a", b"\xff"]}), scoring.folder / "rows.parquet")
    scoring.run("rows.parquet", input={"key": "id"})
    assert [row["key"] for row in scoring.lines()] == ["YQ==", "/w=="]
