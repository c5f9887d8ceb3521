"""Batch inference as TFX sees it."""

from pathlib import Path
from typing import Any

import pytest

from penstock.components.batch_inference.config import BatchInferenceConfig, Input
from penstock.errors import ArtifactError, ConfigError
from tests.components.batch_inference.conftest import Scoring, example, read_lines


@pytest.fixture(scope="module")
def artifacts() -> Any:
    from tfx.types import standard_artifacts

    return standard_artifacts


class Step:
    """A step's folders and artifacts, as TFX's launcher makes them."""

    def __init__(self, artifacts: Any, scoring: Scoring) -> None:
        self.artifacts = artifacts
        self.model = artifacts.Model()
        self.model.uri = str(scoring.folder / "trained")
        (scoring.folder / "trained").mkdir()
        Path(self.model.uri, "Format-Serving").symlink_to(scoring.model.path)
        self.examples = artifacts.Examples()
        self.examples.uri, self.examples.split_names = str(scoring.folder / "examples"), '["train", "eval"]'
        for split, rows in (("train", 3), ("eval", 2)):
            Path(self.examples.uri, f"Split-{split}").mkdir(parents=True)
            records = [example(x=[float(n), 1.0], id=n) for n in range(rows)]
            scoring.records(f"examples/Split-{split}/data_tfrecord-00000-of-00001.gz", records)
        self.output = scoring.folder / "root" / "predictions" / "predictions" / "7"
        self.output.mkdir(parents=True)

    def do(self, inputs: dict[str, Any], **config: Any) -> Any:
        from penstock.components.batch_inference.executor import Executor

        predictions = self.artifacts.InferenceResult()
        predictions.uri = str(self.output)
        checked = BatchInferenceConfig.model_validate({"signature": "serialized", **config})
        given = {name: [artifact] for name, artifact in inputs.items()}
        Executor().Do(given, {"predictions": [predictions]}, {"config": checked.model_dump_json()})
        return predictions

    def lines(self) -> list[dict[str, Any]]:
        return read_lines(sorted(self.output.glob("prediction.results-*")))


@pytest.fixture
def step(artifacts: Any, scoring: Scoring) -> Step:
    return Step(artifacts, scoring)


def test_do_scores_a_split_and_records_it(step: Step, scoring: Scoring):
    inputs = {"model": step.model, "examples": step.examples}
    predictions = step.do(inputs, input={"splits": ["eval"], "key": "id"})
    assert [row["key"] for row in step.lines()] == ["0", "1"]
    assert {name: predictions.get_int_custom_property(name) for name in ("scored", "rows", "results", "errors")} == {
        "scored": 1,
        "rows": 2,
        "results": 2,
        "errors": 0,
    }
    assert predictions.get_string_custom_property("model_digest") == scoring.model.digest
    assert predictions.get_string_custom_property("format") == "jsonl"
    assert not (step.output.parent.parent / ".inference").exists()


def test_do_scores_all_splits_by_default(step: Step):
    step.do({"model": step.model, "examples": step.examples})
    assert [row["key"] for row in step.lines()] == [
        f"Split-{split}/data_tfrecord-00000-of-00001.gz:{n}" for split, n in [("eval", 0), ("eval", 1)]
    ] + [f"Split-train/data_tfrecord-00000-of-00001.gz:{n}" for n in range(3)]


def test_do_scores_files_that_the_config_names(step: Step, scoring: Scoring):
    scoring.write("rows.jsonl", "[1, 2]\n")
    step.do({"model": step.model}, signature="serving_default", input={"files": str(scoring.folder / "*.jsonl")})
    assert [row["y"] for row in step.lines()] == [[2.0, 4.0]]


def test_do_scores_with_a_pushed_model(step: Step, scoring: Scoring):
    pushed = step.artifacts.PushedModel()
    pushed.set_int_custom_property("pushed", 1)
    for name, value in {
        "pushed_destination": scoring.model.path,
        "pushed_version": "3",
        "model_name": "scaler",
        "digest": scoring.model.digest,
    }.items():
        pushed.set_string_custom_property(name, value)
    predictions = step.do({"pushed_model": pushed, "model": step.model, "examples": step.examples})
    assert predictions.get_string_custom_property("model_name") == "scaler"
    assert predictions.get_int_custom_property("model_version") == 3
    pushed.set_string_custom_property("digest", "0" * 64)
    with pytest.raises(ArtifactError, match="the pushed version is not what was pushed"):
        step.do({"pushed_model": pushed, "examples": step.examples})


def test_do_scores_nothing_with_a_model_that_is_not_blessed(step: Step):
    blessing = step.artifacts.ModelBlessing()
    blessing.set_int_custom_property("blessed", 0)
    predictions = step.do({"model": step.model, "examples": step.examples, "model_blessing": blessing})
    assert predictions.get_int_custom_property("scored") == 0
    assert predictions.get_string_custom_property("reason") == "the model is not blessed"
    assert list(step.output.iterdir()) == []


def test_do_names_the_splits_that_there_are(step: Step):
    with pytest.raises(ArtifactError) as raised:
        step.do({"model": step.model, "examples": step.examples}, input={"splits": ["evel"]})
    assert str(raised.value) == (
        f"{step.examples.uri}: the examples have no split 'evel'\n"
        "  received: evel\n  expected: one of train, eval\n  next: did you mean 'eval'?"
    )


def test_do_needs_a_model_and_rows(step: Step):
    with pytest.raises(ConfigError, match="no model is wired"):
        step.do({"examples": step.examples})
    with pytest.raises(ConfigError, match="there are no rows"):
        step.do({"model": step.model})


def test_errors_files_outlive_a_step_that_fails(step: Step, scoring: Scoring):
    scoring.write("rows.jsonl", "[1, 2]\n[-1, 2]\n")
    with pytest.raises(ArtifactError) as raised:
        step.do({"model": step.model}, signature="serving_default", input={"files": str(scoring.folder / "rows.jsonl")})
    kept = step.output.parent.parent / ".inference" / "output" / "prediction.errors-00000-of-00001.jsonl"
    assert raised.value.where == str(kept)
    assert [row["row"] for row in read_lines([kept])] == [1]


def test_the_component_carries_its_config_as_one_json_string(artifacts: Any):
    from tfx.types import channel_utils

    from penstock.components.batch_inference.component import BatchInference

    config = BatchInferenceConfig(input=Input(splits=("eval",)), max_error_rate=0.1)
    component = BatchInference(model=channel_utils.as_channel([artifacts.Model()]), config=config)
    assert list(component.exec_properties) == ["config"]
    assert BatchInferenceConfig.model_validate_json(component.exec_properties["config"]) == config
    assert sorted(component.inputs) == ["model"]
    assert component.outputs["predictions"].type is artifacts.InferenceResult
    assert component.type == "penstock.components.batch_inference.component.BatchInference"
