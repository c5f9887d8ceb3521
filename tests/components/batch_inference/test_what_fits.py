"""What does not fit together is said before the first row, in one message."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penstock.components.batch_inference.infer import explain, infer_here
from penstock.errors import ArtifactError, ConfigError
from tests.components.batch_inference.conftest import example


def _said(scoring, kind, *names, **config):
    with pytest.raises(kind) as raised:
        scoring.run(*names, **config)
    assert not scoring.output.exists()
    assert not (scoring.folder / ".partial-out").exists()
    return str(raised.value)


def test_nothing_matches(scoring):
    assert _said(scoring, ConfigError, "*.csv") == (
        f"{scoring.folder}/*.csv: no input file matches\n"
        f"  received: {scoring.folder} is there, with 0 entries; nothing in it matches\n"
        "  expected: the path of a file or folder, or a glob; quote it, or the shell takes it apart"
    )


def test_mixed_formats(scoring):
    scoring.write("a.csv", "x\n1\n")
    scoring.write("b.jsonl.gz", "[1, 2]\n")
    assert _said(scoring, ConfigError, "*") == (
        "the input files are of several formats\n"
        f"  received: csv: {scoring.folder}/a.csv; jsonl: {scoring.folder}/b.jsonl.gz\n"
        "  expected: one format in a run\n"
        "  next: score them one format after the other, or say --input-format if the names are wrong"
    )


def test_a_name_that_says_nothing(scoring):
    scoring.write("rows.dat", "x")
    assert "rows.dat: what the file holds cannot be told from its name" in _said(scoring, ConfigError, "rows.dat")


@pytest.mark.parametrize(
    ("signature", "needs", "takes"),
    [
        ("serving_default", " of signature 'serving_default'", "x: float32 [rows, 2]"),
        ("serialized", ", which the model parses", "x: float32 [2]"),
    ],
)
def test_a_header_that_lacks_a_feature(scoring, signature, needs, takes):
    scoring.write("a.csv", 'x\n"[1, 2]"\n')
    scoring.write("b.csv", "id,X\n1,2\n")
    said = _said(scoring, ConfigError, "*.csv", signature=signature)
    assert said == (
        f"{scoring.folder}/b.csv: the input lacks the feature 'x'{needs}\n"
        f"  received: columns id, X\n  expected: {takes}\n  next: did you mean 'X'?"
    )


def test_examples_that_lack_a_feature(scoring):
    scoring.records("rows.tfrecord", [example(z=1.0)])
    assert "the input lacks the feature 'x', which the model parses" in _said(
        scoring, ConfigError, "rows.tfrecord", signature="serialized"
    )
    assert "the input lacks the feature 'x' of signature 'serving_default'" in _said(
        scoring, ConfigError, "rows.tfrecord"
    )


def test_no_such_signature_or_output(scoring):
    scoring.write("rows.jsonl", "[1, 2]\n")
    assert _said(scoring, ConfigError, "rows.jsonl", signature="serialised") == (
        f"{scoring.model.path}: the model has no signature 'serialised'\n"
        "  received: serialised\n  expected: one of serialized, serving_default\n  next: did you mean 'serialized'?"
    )
    assert "has no output 'z'" in _said(scoring, ConfigError, "rows.jsonl", output={"outputs": ["z"]})


def test_files_that_hold_something_else(scoring):
    scoring.write("a.tfrecord", "no records at all, but text that is long enough")
    assert "the file holds no TFRecords" in _said(scoring, ArtifactError, "a.tfrecord", signature="serialized")
    scoring.records("b.tfrecord", [b"\xff\xff\xff"])
    assert "the records are no tf.Examples" in _said(scoring, ArtifactError, "b.tfrecord", signature="serialized")
    scoring.write("c.jsonl", "no json\n")
    assert "the file holds no JSON Lines" in _said(scoring, ArtifactError, "c.jsonl")
    scoring.write("d.parquet", "PAR1")
    assert "the file cannot be read as Parquet" in _said(scoring, ArtifactError, "d.parquet")
    scoring.write("e.csv", "")
    assert "the file cannot be read as CSV: Empty CSV file" in _said(scoring, ArtifactError, "e.csv")


def test_no_row_at_all(scoring):
    scoring.write("a.jsonl", "")
    assert "no input file has a row" in _said(scoring, ArtifactError, "a.jsonl")


def test_an_empty_file_among_others(scoring):
    scoring.write("a.jsonl", "")
    scoring.write("b.jsonl", "[1, 2]\n")
    result = scoring.run("*.jsonl")
    assert (result.rows, len(result.files)) == (1, 2)


def test_columns_that_are_not_there_or_twice(scoring):
    scoring.write("rows.csv", 'id,sum,x\n1,2,"[1, 2]"\n')
    assert "there is no column 'it' to pass through" in _said(
        scoring, ConfigError, "rows.csv", output={"include": ["it"]}
    )
    assert "two columns of the output would have the name 'sum'" in _said(
        scoring, ConfigError, "rows.csv", output={"include": ["sum"]}
    )
    assert "the file has 3 columns, and 2 are named" in _said(
        scoring, ConfigError, "rows.csv", input={"columns": ["a", "b"]}
    )


def test_every_file_has_what_is_passed_through_in_the_same_type(scoring):
    for name, column in (("a", {"id": [1]}), ("b", {"id": [1.5]}), ("c", {})):
        pq.write_table(pa.table({"x": [[1.0, 2.0]], **column}), scoring.folder / f"{name}.parquet")
    assert f"{scoring.folder}/c.parquet: there is no column 'id' to pass through" in _said(
        scoring, ConfigError, "*.parquet", output={"include": ["id"]}
    )
    assert _said(scoring, ConfigError, "[ab].parquet", output={"include": ["id"]}) == (
        f"{scoring.folder}/b.parquet: the column 'id' has another type than in the first file\n"
        f"  received: double\n  expected: int64, as in {scoring.folder}/a.parquet"
    )


@pytest.mark.parametrize("signature", ["serving_default", "serialized"])
def test_numbered_columns_are_a_vector(scoring, signature):
    scoring.write("a.csv", "id,x_1,x_0\n7,2,1\n8,,1\n")
    scoring.write("b.csv", "pixel_0,pixel_1,id\n3,4,9\n")
    shape = "[rows, 2]" if signature == "serving_default" else "[2]"
    line = explain(scoring.request("a.csv", signature=signature))[-3]
    assert line.strip() == f"x: float32 {shape} ← 2 columns, 'x_0' to 'x_1'"
    scoring.run("a.csv", signature=signature, input={"key": "id"}, max_error_rate=1)
    assert [(row["key"], row["sum"]) for row in scoring.lines()] == [("7", 6)]
    assert [error["cause"] for error in scoring.errors()] == ["the feature 'x_1' is missing"]
    infer_here(scoring.request("b.csv", signature=signature, overwrite=True))
    assert [row["sum"] for row in scoring.lines()] == [14]


def test_numbered_columns_of_one_file_are_not_those_of_another(scoring):
    scoring.write("a.csv", "x_0,x_1\n1,2\n")
    scoring.write("b.csv", "pixel_0,pixel_1\n3,4\n")
    assert _said(scoring, ConfigError, "?.csv") == (
        f"{scoring.folder}/b.csv: the file lacks columns that feed the signature from the first file\n"
        "  received: columns pixel_0, pixel_1\n"
        f"  expected: x_0, x_1, as in {scoring.folder}/a.csv\n"
        "  next: score files of other columns in a run of their own"
    )


def test_explain(scoring):
    scoring.records("rows.tfrecord.gz", [example(x=[1.0, 2.0])])
    size = (scoring.folder / "rows.tfrecord.gz").stat().st_size
    assert explain(scoring.request("rows.tfrecord.gz", signature="serialized")) == [
        f"1 file, tfrecord, gzip, {size:,} bytes",
        "signature serialized",
        "  examples ← each tf.Example as it is",
        "    it parses x: float32 [2]",
        "  → sum: float32 [rows]",
        "  → y: float32 [rows, 2]",
    ]
    scoring.write("rows.csv", 'x\n"[1, 2]"\n')
    assert explain(scoring.request("rows.csv"))[2:3] == ["  x: float32 [rows, 2] ← column 'x'"]
    assert explain(scoring.request("rows.csv", signature="serialized"))[2:4] == [
        "  examples ← a tf.Example made of each row",
        "    x: float32 [2] ← column 'x'",
    ]
    assert explain(scoring.request("rows.tfrecord.gz"))[2:3] == [
        "  x: float32 [rows, 2] ← feature 'x' of each tf.Example"
    ]
