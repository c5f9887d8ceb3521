"""What a conversion leaves for people and programs."""

import json

from penstock.components.tflite_converter.report import markdown, report, write_report
from penstock.components.tflite_converter.result import Comparison, ModeResult
from tests.components.tflite_converter.made import BLESSED, FLOAT32, INT8, REFUSED, conversion, figures


def test_the_table():
    assert markdown(conversion(FLOAT32, INT8, REFUSED)) == (
        "| mode | size | smaller | accuracy | drop | max error | mean error | class flips "
        "| p50, 1 thread | p90 | of SavedModel | p50, 2 threads | p90 | of SavedModel | arena | blessed | reason |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
        "| float32 | 1.095 MB | 1.00 times | 0.9667 | 0 | 1e-06 | 1e-08 | 0 "
        "| 15 µs | 21 µs | 0.04 | 130 µs | 140 µs | 0.34 | 12.35 kB | no | 1.095 MB, and at most 300 kB is allowed |\n"
        "| int8 | 200 kB | 5.47 times | 0.9639 | 0.00278 | 0.0378 | 0.00058 | 1 "
        "| 15 µs | 21 µs | 0.04 | 130 µs | 140 µs | 0.34 | 12.35 kB | yes |  |\n"
        "| int16x8 |  |  |  |  |  |  |  |  |  |  |  |  |  |  | no | not converted: LiteRT cannot quantize A / B |\n"
        "\n"
        "360 rows, batch 1; the SavedModel's signature predict takes 394 µs (p90 454 µs). Its accuracy is 0.9667.\n"
    )


def test_without_a_metric_and_without_measurements():
    bare = ModeResult("int8", BLESSED, figures(comparison=None, drop=None, timings=(), arena_bytes=None))
    text = markdown(conversion(bare, metric=None, baseline=None, batch=None))
    assert text.splitlines()[0].startswith("| mode | size | smaller | max error | mean error | class flips | arena |")
    assert text.splitlines()[2] == "| int8 | 200 kB |  |  |  |  |  | yes |  |"
    assert text.endswith("360 rows, batch dynamic; the SavedModel's signature predict takes 394 µs (p90 454 µs).\n")


def test_every_cell_has_a_column():
    for lines in (markdown(conversion(FLOAT32, INT8, REFUSED)), markdown(conversion(INT8, metric=None))):
        table = [line for line in lines.splitlines() if line.startswith("|")]
        assert len({line.count("|") for line in table}) == 1


def test_the_data():
    data = report(conversion(INT8, REFUSED))
    assert {key: data[key] for key in ("signatures", "batch", "rows", "representative_rows", "metric", "baseline")} == {
        "signatures": ["predict"],
        "batch": 1,
        "rows": 360,
        "representative_rows": 200,
        "metric": "accuracy",
        "baseline": 0.9667,
    }
    int8, refused = data["modes"]
    assert (int8["size_bytes"], int8["drop"], int8["class_flips"], int8["arena_bytes"]) == (200_000, 0.00278, 1, 12_352)
    assert int8["latency"][1] == {"threads": 2, "p50": 130.0, "p90": 140.0, "runs": 200, "ratio": 0.34}
    assert int8["signatures"]["predict"]["inputs"]["x"]["dtype"] == "int8"
    assert refused == {
        "mode": "int16x8",
        "blessed": False,
        "reason": "not converted: LiteRT cannot quantize A | B",
    }


def test_the_files(tmp_path):
    for mode in ("float32", "int8"):
        (tmp_path / mode).mkdir()
    broken = figures(comparison=Comparison(float("inf"), float("nan"), None, 0.5))
    write_report(conversion(FLOAT32, ModeResult("int8", BLESSED, broken)), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("float32", "int8", "report.json", "report.md", "report.svg"),
    ]
    whole = json.loads((tmp_path / "report.json").read_text())
    part = json.loads((tmp_path / "int8/report.json").read_text())
    assert [result["mode"] for result in whole["modes"]] == ["float32", "int8"]
    assert part == {**whole, "modes": whole["modes"][1:]}
    assert (part["modes"][0]["max_abs_error"], part["modes"][0]["mean_abs_error"]) == ("inf", "nan")
