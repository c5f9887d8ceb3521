"""What the errors file keeps of a bad row is what the file holds, and not only what the signature takes of it."""

from __future__ import annotations

from tests.components.batch_inference.conftest import Scoring


def test_a_line_of_json_that_lacks_a_feature(scoring: Scoring):
    rows = '{"id": "a", "x": [1, 2], "note": "fine"}\n{"id": "b", "note": "no x", "more": {"deep": 1}}\n'
    scoring.write("rows.jsonl", rows)
    scoring.run("rows.jsonl", max_error_rate=1)
    (error,) = scoring.errors()
    assert error["cause"] == "the feature 'x' is missing"
    assert error["original"] == {"id": "b", "note": "no x", "more": {"deep": 1}}


def test_a_line_that_the_model_refuses_behind_one_that_is_no_json(scoring: Scoring):
    scoring.write("rows.jsonl", '{"x": [1, 2]}\n{\n\n{"x": [-1, 2], "id": 7}\n')
    scoring.run("rows.jsonl", max_error_rate=1)
    assert [(error["row"], error["original"]) for error in scoring.errors()] == [(1, "{"), (2, {"x": [-1, 2], "id": 7})]


def test_all_columns_of_csv(scoring: Scoring):
    lines = ["id,x_0,note,x_1", *(f"{n},{n},n{n},{'oops' if n in (3, 7) else 1}" for n in range(9))]
    scoring.write("rows.csv", "\n".join(lines) + "\n")
    scoring.run("rows.csv", batch={"max_rows": 2}, max_error_rate=1)
    assert [(error["row"], error["cause"], error["original"]) for error in scoring.errors()] == [
        (
            n,
            "the feature 'x_1' holds 'oops', and the signature takes float32",
            {"id": str(n), "x_0": str(n), "note": f"n{n}", "x_1": "oops"},
        )
        for n in (3, 7)
    ]


def test_csv_that_is_no_text_in_one_row(scoring: Scoring):
    scoring.write("rows.csv", b"id,x_0,x_1\n0,1,1\n1,\xff,1\n2,-1,1\n")
    scoring.run("rows.csv", max_error_rate=1)
    assert [(error["row"], error["original"]) for error in scoring.errors()] == [
        (1, {"b64": "MSz/LDE="}),
        (2, {"id": "2", "x_0": "-1", "x_1": "1"}),
    ]
