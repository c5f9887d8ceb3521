"""What is told of a missing Java before anything heavy is imported, and where nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from penstock.errors import EnvironmentProblem
from penstock.pipelines.cli.app import app
from penstock.pipelines.cli.run import _check_engine
from penstock.pipelines.resolve import check
from penstock.pipelines.runners.jobs import Selection

NONE = "there is no Java, and the job server of Flink and Spark is a Java program"
STEPS = """\
pipeline: p
root: runs
steps:
  examples: {component: CsvExampleGen, with: {input_base: data}}
  statistics: {component: StatisticsGen}
  schema: {component: SchemaGen}
"""


@pytest.fixture(autouse=True)
def _no_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    monkeypatch.delenv("JAVA_HOME", raising=False)


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data/rows.csv").write_text("x\n1\n")
    file = tmp_path / "p.yaml"
    file.write_text(STEPS)
    return file


def _check(pipeline: Path, *settings: str, **selection: Any) -> None:
    _check_engine(*check(pipeline, settings), Selection(**selection))


def _ran(pipeline: Path) -> None:
    (pipeline.parent / "runs").mkdir()
    (pipeline.parent / "runs/metadata.sqlite").touch()


FLINK = "beam.runner=flink"


def test_a_first_run_is_told(pipeline: Path) -> None:
    with pytest.raises(EnvironmentProblem, match=NONE):
        _check(pipeline, FLINK)


@pytest.mark.parametrize(
    ("settings", "selection"),
    [
        (["steps.statistics.cache=false"], {}),
        (["cache=false"], {}),
        ([], {"anew": ("statistics",)}),
        ([], {"only": ("examples",)}),
        ([], {"start": "statistics"}),
    ],
)
def test_a_later_one_is_told_where_a_beam_step_has_no_earlier_result(
    pipeline: Path, settings: list[str], selection: dict[str, Any]
) -> None:
    _ran(pipeline)
    with pytest.raises(EnvironmentProblem, match=NONE):
        _check(pipeline, FLINK, *settings, **selection)


def test_it_is_not_where_all_may_have_one(pipeline: Path) -> None:
    _ran(pipeline)
    _check(pipeline, FLINK)
    _check(pipeline, FLINK, only=("schema",))


@pytest.mark.parametrize(
    "settings",
    [
        [],
        [FLINK, "beam.options.job_endpoint=elsewhere:8099"],
        [FLINK, "beam.options={flink_submit_uber_jar: true, flink_master: 'host:8081'}"],
        [FLINK, "beam.options.job_server_java_launcher=/opt/java"],
    ],
)
def test_it_is_not_where_no_java_of_this_machine_is_needed(pipeline: Path, settings: list[str]) -> None:
    _check(pipeline, *settings)


def test_validate_says_it_of_a_valid_file(pipeline: Path) -> None:
    note = (
        f"It cannot run here yet: {NONE} (no java on PATH). Next: install a JRE 11 or 17 "
        "(Debian, Ubuntu: apt-get install openjdk-17-jre-headless), or set JAVA_HOME."
    )
    answer = CliRunner().invoke(app, ["validate", str(pipeline), "--set", FLINK])
    assert (answer.exit_code, answer.output.splitlines()[1:]) == (0, [note])
    answer = CliRunner().invoke(app, ["validate", str(pipeline), "--set", FLINK, "--json"])
    assert json.loads(answer.output)["notes"] == [note]
    assert CliRunner().invoke(app, ["validate", str(pipeline)]).output.count("\n") == 1


def test_run_ends_before_it_makes_anything(pipeline: Path) -> None:
    answer = CliRunner().invoke(app, ["run", str(pipeline), "--set", FLINK, "--json"])
    assert (answer.exit_code, json.loads(answer.stdout)["error"]["what"]) == (1, NONE)
    assert not (pipeline.parent / "runs").exists()
