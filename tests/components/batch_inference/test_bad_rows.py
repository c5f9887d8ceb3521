"""A bad row costs itself only, and everything that is lost is counted, named and kept."""

import base64
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.errors import ArtifactError
from tests.components.batch_inference.conftest import example

ANY = {"max_error_rate": 1.0}


def _keys(scoring):
    return [row["key"].rpartition(":")[2] for row in scoring.lines()]


def _told(scoring):
    return [(row["row"], row["cause"]) for row in scoring.errors()]


def test_the_model_refuses_a_row(scoring):
    rows = [[float(n), 1.0] for n in range(100)]
    rows[17][1] = rows[70][0] = -1.0
    scoring.records("rows.tfrecord", [example(x=row) for row in rows])
    result = scoring.run("rows.tfrecord", signature="serialized", **ANY)
    assert (result.rows, result.results, result.errors) == (100, 98, 2)
    assert _keys(scoring) == [str(n) for n in range(100) if n not in (17, 70)]
    cause = "the model refuses it: assertion failed: [a number is negative]"
    assert _told(scoring) == [(17, cause), (70, cause)]
    assert base64.b64decode(scoring.errors()[0]["original"]["b64"]) == example(x=rows[17])
    assert scoring.manifest()["causes"] == [{"cause": cause, "rows": 2}]


def test_a_feature_is_missing(scoring):
    scoring.records("rows.tfrecord", [example(x=[1.0, 2.0]), example(z=1.0), example(x=[1.0]), b"\xff\xff"])
    scoring.run("rows.tfrecord", **ANY)
    assert _keys(scoring) == ["0"]
    assert [row for row, _ in _told(scoring)] == [1, 2, 3]


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
def test_bad_rows_of_csv(scoring, signature):
    lines = ["id,x", 'a,"[1, 2]"', "b", 'c,"[1, 2]",3', 'd,"[1]"', "e,", 'f,"[1, two]"', 'g,"[3, 4]"', 'h,"[-1, 0]"']
    scoring.write("rows.csv", "\n".join(lines).encode() + b'\n\xff,"[5, 6]"\n')
    scoring.run("rows.csv", signature=signature, input={"key": "id"}, **ANY)
    assert [row["key"] for row in scoring.lines()] == ["a", "g"]
    shape = "the feature 'x' has 1 values, and the signature takes [2]"
    assert _told(scoring) == [
        (1, "the row has 1 values, and the header names 2"),
        (2, "the row has 3 values, and the header names 2"),
        (3, shape),
        (4, "the feature 'x' is missing"),
        (5, "the feature 'x' is no list: it should be written as [1, 2.5]"),
        (7, "the model refuses it: assertion failed: [a number is negative]"),
        (8, "the row is no UTF-8 text"),
    ]
    assert scoring.errors()[3]["original"] == {"id": "e", "x": None}
    assert scoring.errors()[0]["original"] == "b"


def test_bad_rows_of_json(scoring):
    lines = ['{"x": [1, 2]}', "{", '{"x": ["1", 2]}', '{"y": 1}', '{"x": null}', '{"x": [1, null]}', '{"x": [5, 6]}']
    scoring.write("rows.jsonl", "\n".join(lines))
    scoring.run("rows.jsonl", **ANY)
    assert _keys(scoring) == ["0", "6"]
    assert _told(scoring) == [
        (1, "the line is no JSON: unexpected end of data"),
        (2, "the column 'x' holds ['1', 2], which is no list<item: float>"),
        (3, "the feature 'x' is missing"),
        (4, "the feature 'x' is missing"),
        (5, "the feature 'x' has a value that is missing"),
    ]
    assert [row["original"] for row in scoring.errors()[:2]] == ["{", {"x": ["1", 2]}]


@pytest.mark.parametrize(("nan", "keys"), [("error", ["0"]), ("keep", ["0", "1"])])
def test_nan(scoring, nan, keys):
    pq.write_table(pa.table({"x": [[1.0, 2.0], [1.0, float("nan")]]}), scoring.folder / "rows.parquet")
    scoring.run("rows.parquet", nan=nan, **ANY)
    assert _keys(scoring) == keys
    assert _told(scoring) == ([(1, "the feature 'x' is NaN")] if nan == "error" else [])
    assert nan == "error" or scoring.lines()[1] == {"key": "rows.parquet:1", "y": [2.0, None], "sum": None}


def test_nan_in_an_output(scoring):
    scoring.records("rows.tfrecord", [example(x=[1.0, 2.0]), example(x=[float("inf"), float("nan")])])
    scoring.run("rows.tfrecord", signature="serialized", **ANY)
    assert _told(scoring) == [(1, "the output 'sum' is NaN")]


def test_a_missing_key_and_a_missing_file(scoring):
    scoring.write("rows.csv", 'id,x\n,"[1, 2]"\n1,"[1, 2]"\n')
    scoring.run("rows.csv", input={"key": "id"}, **ANY)
    assert _told(scoring) == [(0, "the key 'id' is missing")]


def test_a_file_of_a_list_is_missing(scoring):
    scoring.write("a.pb", example(x=[1.0, 2.0]))
    scoring.write("list.txt", "a.pb\nb.pb\n")
    scoring.run("list.txt", signature="serialized", input={"format": "file_list"}, **ANY)
    assert _told(scoring) == [(1, "the file cannot be read: No such file or directory")]
    assert [row["key"] for row in scoring.lines()] == ["a.pb"]


RECORDS = 50


def _frames(scoring):
    """A TFRecord file of 50 records; return its bytes, and the size of a record with its frame."""
    path = scoring.records("rows.tfrecord", [example(x=[float(n), 1.0]) for n in range(RECORDS)])
    data = bytearray(path.read_bytes())
    return path, data, len(data) // RECORDS


def _scored_without(scoring, path, data, *lost):
    path.write_bytes(data)
    result = scoring.run("rows.tfrecord", signature="serialized", batch={"max_rows": 8}, **ANY)
    assert [(row["y"][0] / 2) for row in scoring.lines()] == [n for n in range(RECORDS) if n not in lost]
    assert result.rows == result.results + result.errors
    return result


def test_flipped_data_costs_one_record(scoring):
    path, data, size = _frames(scoring)
    data[13 * size + 20] ^= 1
    _scored_without(scoring, path, data, 13)
    assert _told(scoring) == [(13, "the record is damaged: its checksum is another")]


def test_a_flipped_length_costs_nothing(scoring):
    path, data, size = _frames(scoring)
    data[13 * size] ^= 1
    assert _scored_without(scoring, path, data).errors == 0


def test_a_hole_costs_what_was_there(scoring):
    path, data, size = _frames(scoring)
    data[13 * size + 4 : 15 * size + 4] = bytes(2 * size)
    result = _scored_without(scoring, path, data, 13, 14, 15)
    assert _told(scoring) == [(13, "the length of a record is damaged")]
    assert scoring.errors()[0]["rows_lost"] is None
    assert (result.errors, scoring.manifest()["shards"][0]["uncounted"]) == (1, 1)


def test_a_file_that_ends_too_early(scoring):
    path, data, size = _frames(scoring)
    _scored_without(scoring, path, data[: 48 * size + 5], 48, 49)
    assert _told(scoring) == [(48, "the file ends within a record")]


def test_damage_in_a_part_of_a_file(scoring):
    path, data, size = _frames(scoring)
    data[13 * size + 20] ^= 1
    path.write_bytes(data)
    scoring.run("rows.tfrecord", signature="serialized", input={"split_size": "500B"}, **ANY)
    assert _keys(scoring) == [str(n) for n in range(RECORDS) if n != 13]


def test_damage_to_compression_keeps_what_is_before(scoring):
    records = [example(x=[float(n * n % 97), float(n)]) for n in range(5000)]
    path = scoring.records("rows.tfrecord.gz", records)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    result = scoring.run("rows.tfrecord.gz", signature="serialized", **ANY)
    assert 1000 < result.results < 5000
    assert [row["y"][1] / 2 for row in scoring.lines()] == list(range(result.results))
    assert scoring.errors()[-1]["cause"] == (
        "the compressed file is damaged, and what follows cannot be recovered: it ends too early"
    )


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_compressed_text_that_ends_too_early(scoring, kind):
    rows = [f"[{n * n % 97}, {n}]" for n in range(5000)]
    text = "x\n" + "".join(f'"{row}"\n' for row in rows) if kind == "csv" else "".join(f"{row}\n" for row in rows)
    data = gzip.compress(text.encode())
    (scoring.folder / f"rows.{kind}").write_bytes(data[: len(data) // 2])
    result = scoring.run(f"rows.{kind}", **ANY)
    assert [row["y"][1] / 2 for row in scoring.lines()] == list(range(result.results))
    assert 1000 < result.results < 5000
    assert _told(scoring) == [
        (result.results, "the compressed file is damaged, and what follows cannot be recovered: it ends too early")
    ]


def test_a_damaged_row_group_is_counted(scoring):
    path = scoring.folder / "rows.parquet"
    table = pa.table({"x": [[float(n), 1.0] for n in range(30)]})
    pq.write_table(table, path, row_group_size=10, compression="gzip", use_dictionary=False)
    group = pq.read_metadata(path).row_group(1).column(0)
    data = bytearray(path.read_bytes())
    start = group.data_page_offset + 40
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    result = scoring.run("rows.parquet", **ANY)
    assert (result.rows, result.results, result.errors) == (30, 20, 10)
    assert _keys(scoring) == [str(n) for n in range(30) if n // 10 != 1]
    assert (scoring.errors()[0]["row"], scoring.errors()[0]["rows_lost"]) == (10, 10)


def test_too_many_errors_fail_and_keep_the_errors_file(scoring):
    rows = [[float(n), -1.0 if n < 3 else 1.0] for n in range(100)]
    text = "\n".join(json.dumps(row) for row in rows) + "\n{\n[1]\n"
    scoring.write("rows.jsonl", text)
    with pytest.raises(ArtifactError) as raised:
        scoring.run("rows.jsonl", max_error_rate=0.01)
    work = scoring.folder / ".partial-out"
    errors = work / "output" / "prediction.errors-00000-of-00001.jsonl"
    assert str(raised.value) == (
        f"{errors}: 5 of 102 rows got no prediction, more than max_error_rate 0.01 allows\n"
        "  received: 3 rows: the model refuses it: assertion failed: [a number is negative]; "
        "1 rows: the feature 'x' has 1 values, and the signature takes [2]; "
        "1 rows: the line is no JSON: unexpected end of data\n"
        "  expected: at most 1 bad rows\n"
        "  next: look at the errors file; then correct the input, or allow more: what is scored is kept, and the same "
        "run with a higher max_error_rate publishes it at once"
    )
    assert not scoring.output.exists()
    assert len(errors.read_text().splitlines()) == 5
    result = scoring.run("rows.jsonl", max_error_rate=0.05)
    assert (result.results, result.errors) == (97, 5)
    assert not work.exists()


def test_every_row_is_bad(scoring):
    scoring.write("rows.jsonl", "[-1, 0]\n" * 20)
    result = scoring.run("rows.jsonl", output={"format": "parquet"}, **ANY)
    assert (result.results, result.errors) == (0, 20)
    table = pq.read_table(scoring.output / result.files[0])
    assert table.num_rows == 0
    assert table.schema.names == ["key", "sum", "y"]
