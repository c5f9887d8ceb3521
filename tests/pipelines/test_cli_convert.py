"""``penstock convert``: what it takes, what it prints, and what stays behind."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.components.tflite_converter.inspection import Inspection, Op, Quantization, Signature, Tensor
from penstock.errors import ArtifactError, PenstockError
from penstock.pipelines.cli.app import app
from penstock.pipelines.converting import command
from penstock.pipelines.converting.settings import config_of, modes_of
from penstock.pipelines.converting.text import inspection_lines, report_lines

REPORT: dict[str, Any] = {
    "metric": "accuracy",
    "baseline": 0.96667,
    "modes": [
        {
            "mode": "int8",
            "blessed": True,
            "reason": "within tolerance",
            "size_bytes": 293_600,
            "metric": 0.96389,
            "max_abs_error": 0.0417,
            "latency": [{"threads": 1, "p50": 15.2, "p90": 17.0, "runs": 200, "ratio": 0.0387}],
        },
        {"mode": "int16x8", "blessed": False, "reason": "not converted: LiteRT cannot quantize CAST"},
    ],
}


def invoke(*arguments):
    return CliRunner().invoke(app, ["convert", *map(str, arguments)])


@pytest.fixture
def asked(monkeypatch):
    """Convert nothing; return what would have been."""
    calls = []

    def convert_in_worker(saved_model, config, **options):
        calls.append((saved_model, config, options))
        return REPORT

    monkeypatch.setattr(command, "convert_in_worker", convert_in_worker)
    return calls


def test_options_become_parameters(asked):
    answer = invoke(
        *("model", "--modes", "float32, int8", "--representative", "a.tfrecord", "--representative", "b.tfrecord"),
        *("--output", "out", "--signature", "score", "--label", "species"),
        *("--set", "gate.metric=accuracy", "--set", "gate.max_size=200kB", "--set", "gate.max_drop={int8: 0.01}"),
        *("--set", "measure.threads=[1, 2]", "--set", "gate.max_abs_error=1e-4"),
    )
    assert answer.exit_code == 0, answer.output
    ((saved_model, config, options),) = asked
    assert saved_model == Path("model")
    assert (config.modes, config.signatures, config.label) == (("float32", "int8"), ("score",), "species")
    assert (config.gate.metric, config.gate.max_size, config.gate.max_drop) == ("accuracy", "200kB", {"int8": 0.01})
    assert (config.measure.threads, config.gate.max_abs_error) == ((1, 2), 1e-4)
    assert options["representative"] == options["evaluation"] == [Path("a.tfrecord"), Path("b.tfrecord")]
    assert options["output"] == Path("out")


def test_rows_to_measure_with_may_be_others(asked):
    invoke("model", "--representative", "a", "--evaluate", "b", "--output", "out")
    assert asked[0][2]["evaluation"] == [Path("b")]


def test_what_is_printed(asked):
    answer = invoke("model", "--representative", "a", "--output", "out")
    assert answer.output == (
        "The SavedModel's accuracy: 0.9667\n"
        "  ✓ int8           293.6 kB, accuracy 0.9639, off by 0.0417 at most, 15 µs a call, 0.039 of the SavedModel's\n"
        "  ✗ int16x8        \n"
        "    not converted: LiteRT cannot quantize CAST\n"
        "\nReports: out/report.md, report.json and report.svg beside it.\n"
    )
    assert json.loads(invoke("model", "--representative", "a", "--output", "out", "--json").output) == REPORT


def test_without_a_metric_there_is_no_baseline():
    lines = list(report_lines({"metric": None, "baseline": None, "modes": [{**REPORT["modes"][0], "metric": None}]}))
    assert lines == ["  ✓ int8           293.6 kB, off by 0.0417 at most, 15 µs a call, 0.039 of the SavedModel's"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "SAVED_MODEL and --representative and --output are missing\n  expected: penstock convert SAVED_MODEL"),
        (["model", "--output", "out"], "--representative is missing"),
        (
            ["model", "--inspect", "a.tflite"],
            "a SavedModel beside --inspect makes no sense\n  next: give one of the two",
        ),
        (
            ["model", "--representative", "a", "--output", "out", "--modes", "int8,int7"],
            "--modes: there is no mode 'int7'\n  expected: some of float32,dynamic_range,float16,int8,int16x8",
        ),
        (
            ["model", "--representative", "a", "--output", "out", "--set", "gate"],
            "--set needs a key and a value\n  received: gate\n  expected: KEY=VALUE, such as gate.max_drop=0.01",
        ),
        (
            ["model", "--representative", "a", "--output", "out", "--set", "gate.max_drp=1"],
            "--set gate.max_drp: unknown key 'max_drp' in gate",
        ),
        (
            ["model", "--representative", "a", "--output", "out", "--set", "measure.runs='5'"],
            "--set measure.runs: expected an integer, received the text '5' at measure.runs",
        ),
        (
            ["model", "--representative", "a", "--output", "out", "--set", "gate={metric: auc, metric: mse}"],
            "--set gate: ",
        ),
        (["model", "--representative", "a", "--output", "out", "--set", "gate={"], "--set gate: "),
        (
            ["model", "--representative", "a", "--output", "out", "--set", "gate.metric=auc"],
            "the metric 'auc' needs a label\n  next: add --label NAME",
        ),
    ],
)
def test_wrong_arguments(asked, arguments, message):
    answer = invoke(*arguments)
    assert isinstance(answer.exception, PenstockError)
    assert answer.exception.exit_code == 2
    assert str(answer.exception).startswith(message)
    assert asked == []


def test_errors_as_json(asked):
    answer = invoke("model", "--representative", "a", "--output", "out", "--modes", "int7", "--json")
    assert answer.exit_code == 2
    assert json.loads(answer.output)["error"]["what"] == "there is no mode 'int7'"


def test_a_setting_wins_over_an_option():
    assert config_of({"modes": modes_of("int8"), "label": "a"}, ["label=b"]).label == "b"


class Workers:
    """Runs a task in this process, or fails as it is told to."""

    error: Exception | None = None

    def __init__(self, project, log):
        log.write_text("imports\n")

    def start(self, task, *arguments, log, sink):
        output = arguments[-1]
        (output / "int8").mkdir()
        (output / "report.md").write_text("half")
        sink.status("converting to int8")
        sink.note("noted")
        return self

    def result(self):
        if self.error:
            raise self.error
        return REPORT

    def stop(self, grace):
        assert grace == 0


@pytest.fixture
def given(project):
    project.write("model/saved_model.pb", "")
    project.write("a", "")


@pytest.fixture
def workers(monkeypatch, given):
    monkeypatch.setattr("penstock.pipelines.runners.workers.Workers", Workers)
    monkeypatch.setattr(Workers, "error", None)
    return Workers


def test_progress_goes_to_standard_error(workers, project):
    answer = invoke("model", "--representative", "a", "--output", "out")
    assert answer.exit_code == 0, answer.output
    assert answer.stderr == "converting to int8\nnoted\n"
    assert sorted(path.name for path in (project.folder / "out").iterdir()) == ["convert.log", "int8", "report.md"]


def test_a_failure_leaves_the_log_and_may_be_tried_again(workers, project, monkeypatch):
    monkeypatch.setattr(workers, "error", ArtifactError("no rows"))
    for _ in range(2):
        answer = invoke("model", "--representative", "a", "--output", "out")
        assert str(answer.exception) == "no rows"
        assert [path.name for path in (project.folder / "out").iterdir()] == ["convert.log"]


def test_nothing_is_overwritten(project, given):
    project.write("out/mine.txt", "")
    answer = invoke("model", "--representative", "a", "--output", "out")
    assert str(answer.exception) == (
        "out: the output folder is not empty\n  received: mine.txt\n  next: name another folder: nothing is overwritten"
    )


def test_an_output_that_is_a_file(project, given):
    project.write("out", "")
    answer = invoke("model", "--representative", "a", "--output", "out")
    assert str(answer.exception).startswith("out: the output is a file\n  expected: a folder")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_that_cannot_be_made(project, given):
    (project.folder / "locked").mkdir(mode=0o500)
    answer = invoke("model", "--representative", "a", "--output", "locked/out")
    assert str(answer.exception).startswith("locked/out: the output cannot be made: Permission denied")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope", "--representative", "a"], "nope: the folder holds no SavedModel\n  received: no such folder\n"),
        (["base", "--representative", "a"], "base: the folder holds no SavedModel\n  received: files: 1, 2, notes\n"),
        (
            ["model", "--representative", "a", "--representative", "b"],
            "b: there is no such file\n  expected: a TFRecord",
        ),
        (["model", "--representative", "a", "--evaluate", "c"], "c: there is no such file\n  expected: a TFRecord"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_made(project, given, arguments, message):
    for name in ("base/1/saved_model.pb", "base/2/saved_model.pb", "base/notes"):
        project.write(name, "")
    answer = invoke(*arguments, "--output", "out")
    assert str(answer.exception).startswith(message)
    assert ("next: name one of those in it, such as base/2" in str(answer.exception)) == ("base" in arguments)
    assert answer.exception.exit_code == 2
    assert not (project.folder / "out").exists()


def test_an_inspection_of_nothing(project):
    answer = invoke("--inspect", "nope.tflite")
    assert str(answer.exception) == "nope.tflite: there is no such file\n  expected: a .tflite file"
    assert answer.exception.exit_code == 2


def test_a_file_that_is_no_model(project):
    project.write("cut.tflite", "TFL3")
    answer = invoke("--inspect", "cut.tflite")
    assert str(answer.exception).startswith("cut.tflite: this is no whole LiteRT model: ")
    assert answer.exception.exit_code == 1


def test_an_inspection_on_a_terminal():
    image = Tensor("predict_image:0", "int8", (None, 64), Quantization((0.0627451,), (-128,), None), constant=False)
    scales = Quantization((0.0018, 0.00342), (0, 0), 0)
    weights = Tensor("StatefulPartitionedCall/dense/MatMul;dense/Add", "int8", (2, 64), scales, constant=True)
    mixed = Tensor("other", "uint8", (), Quantization((0.1, 0.2), (3, 5), 1), constant=True)
    out = Tensor("StatefulPartitionedCall:0", "float32", (None, 2), None, constant=False)
    dense = Op("FULLY_CONNECTED", (image, weights, mixed), (out,), at_border=False, custom=False)
    flex = Op("FlexErf", (out,), (out,), at_border=False, custom=True)
    found = Inspection(1044, "abc", (Signature("predict", {"image": image}, {"y": out}),), (dense, flex, flex))
    assert list(inspection_lines(found, Path("/models/a.tflite"))) == [
        "/models/a.tflite: 1.044 kB, SHA-256 abc",
        "\nsignature predict",
        "  input   image: int8[any, 64], scale 0.0627451, zero point -128",
        "  output  y: float32[any, 2]",
        "\n3 ops: 2 FlexErf, 1 FULLY_CONNECTED",
        "    0 FULLY_CONNECTED    int8 → float32[any, 2]  ",
        "    1 FlexErf            float32 → float32[any, 2]  ",
        "    2 FlexErf            float32 → float32[any, 2]  ",
        "\n2 constants",
        "  int8[2, 64], 2 scales 0.0018 to 0.00342 along axis 0, zero point 0  dense/MatMul",
        "  uint8[], 2 scales 0.1 to 0.2 along axis 1, zero points 3 to 5  other",
        "\nNeeds TensorFlow's Flex delegate: FlexErf",
    ]
