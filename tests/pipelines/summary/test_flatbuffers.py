"""What a run's summary says of flatbuffers."""

from penstock.metadata import Artifact
from penstock.pipelines.summary.flatbuffers import flatbuffer_lines, read_flatbuffers

INT8 = {"mode": "int8", "blessed": 1, "reason": "within tolerance", "size_bytes": 293_600}
FLOAT32 = {
    "mode": "float32",
    "blessed": 0,
    "reason": "1.095 MB, and at most 300 kB is allowed",
    "size_bytes": 1_095_000,
}
REFUSED = {"mode": "int16x8", "blessed": 0, "reason": "not converted: LiteRT cannot quantize CAST"}


def lines(*properties):
    artifacts = [
        Artifact(number, "TFLiteModel", f"/runs/tflite/tflite_model/8/{each['mode']}", each)
        for number, each in enumerate(properties)
    ]
    found = read_flatbuffers("tflite", artifacts)
    return list(flatbuffer_lines(found, found.report))


def test_the_blessed_ones_in_one_line_and_the_others_with_their_reasons():
    measured = {**INT8, "metric": "accuracy", "drop": 0.002778}
    assert lines(FLOAT32, measured, {**INT8, "mode": "dynamic_range"}, REFUSED) == [
        "\nFlatbuffers, tflite: blessed int8 293.6 kB, accuracy 0.002778 worse; dynamic_range 293.6 kB",
        "  not float32: 1.095 MB, and at most 300 kB is allowed",
        "  not int16x8: not converted: LiteRT cannot quantize CAST",
        "  /runs/tflite/tflite_model/8/report.md",
    ]


def test_none_is_blessed():
    assert lines(REFUSED)[0] == "\nFlatbuffers, tflite: none is blessed"
