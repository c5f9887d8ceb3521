"""The Pusher as TFX sees it."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.config import Destination, PusherConfig
from penstock.components.pusher.flatbuffer_gate import FlatbufferReport
from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.components.pusher.gate import GateReport, ask
from penstock.errors import ArtifactError
from penstock.serving.manifest import verify
from tests.components.pusher.conftest import example, write_rows


@pytest.fixture(scope="module")
def artifacts() -> Any:
    from tfx.types import standard_artifacts

    return standard_artifacts


def _run(artifacts: Any, model: Path, base: Path, *, blessed: int | None, **values: Any) -> Any:
    from penstock.components.pusher.executor import Executor

    trained, pushed_model = artifacts.Model(), artifacts.PushedModel()
    trained.uri = str(model.parent)
    inputs = {"model": [trained]}
    if blessed is not None:
        blessing = artifacts.ModelBlessing()
        blessing.set_int_custom_property("blessed", blessed)
        inputs["model_blessing"] = [blessing]
    if "warmup" in values:
        inputs["examples"] = [_examples(artifacts, base.parent / "examples")]
    config = PusherConfig.model_validate({"destination": {"directory": str(base)}, **values})
    Executor().Do(inputs, {"pushed_model": [pushed_model]}, {"config": config.model_dump_json()})
    return pushed_model


def _examples(artifacts: Any, folder: Path) -> Any:
    examples = artifacts.Examples()
    examples.uri, examples.split_names = str(folder), '["train", "eval"]'
    write_rows(folder / "Split-train" / "rows.gz", [example(x=[0.0, 0.0])])
    write_rows(folder / "Split-eval" / "rows.gz", [example(x=[1.0, 2.0]), example(x=[3.0, 4.0])])
    return examples


@pytest.fixture(autouse=True)
def _gates(gate: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every model and every flatbuffer through its gate."""
    passed = "penstock.components.pusher.push_flatbuffers.pass_flatbuffer_gate"
    monkeypatch.setattr(passed, lambda version, timeout: FlatbufferReport({}))


def test_do_pushes_a_blessed_model_and_records_it(artifacts: Any, model: Path, base: Path):
    pushed_model = _run(artifacts, model, base, blessed=1)
    assert pushed_model.get_int_custom_property("pushed") == 1
    assert pushed_model.get_string_custom_property("reason") == "blessed by the Evaluator, published as version 1"
    assert pushed_model.get_int_custom_property("version") == 1
    assert pushed_model.get_string_custom_property("pushed_version") == "1"
    assert pushed_model.get_string_custom_property("pushed_destination") == str(base / "1")
    assert len(pushed_model.get_string_custom_property("digest")) == 64
    verify(base / "1")


def test_do_pushes_a_model_that_nobody_judged(artifacts: Any, model: Path, base: Path):
    pushed_model = _run(artifacts, model, base, blessed=None)
    assert pushed_model.get_string_custom_property("reason") == "no blessing asked for, published as version 1"


def test_do_records_that_nothing_was_pushed(artifacts: Any, model: Path, base: Path):
    pushed_model = _run(artifacts, model, base, blessed=0)
    assert pushed_model.get_int_custom_property("pushed") == 0
    assert pushed_model.get_string_custom_property("reason") == "not blessed by the Evaluator"
    recorded = {"version", "pushed_version", "pushed_destination", "digest", "labels", "model_name"}
    assert not recorded & set(pushed_model.mlmd_artifact.custom_properties)
    assert not base.exists()


def test_do_makes_warm_up_requests_of_evaluation_rows_and_records_labels(
    artifacts: Any, saved_model: Path, base: Path, tmp_path: Path
):
    model = Path(shutil.copytree(saved_model, tmp_path / "trained" / "Format-Serving"))
    values = {"warmup": {"rows": 20}, "labels": {"stable": "this"}}
    pushed_model = _run(artifacts, model, base, blessed=1, **values)
    assert pushed_model.get_string_custom_property("labels") == '{"stable": 1}'
    assert pushed_model.get_string_custom_property("model_name") == "digits"
    assert ask(base / "1") == GateReport(4)


def test_do_names_the_splits_that_there_are(artifacts: Any, saved_model: Path, base: Path, tmp_path: Path):
    model = Path(shutil.copytree(saved_model, tmp_path / "trained" / "Format-Serving"))
    with pytest.raises(ArtifactError) as caught:
        _run(artifacts, model, base, blessed=1, warmup={"split": "evel"})
    assert str(caught.value) == (
        f"{base.parent}/examples: the examples have no split 'evel'\n"
        "  received: warmup.split: evel\n"
        "  expected: one of train, eval\n"
        "  next: did you mean 'eval'?"
    )
    assert not base.exists()


def test_do_pushes_the_flatbuffers_that_are_blessed(artifacts: Any, flatbuffers: tuple[Flatbuffer, ...], base: Path):
    from penstock.components.artifacts import TFLiteModel
    from penstock.components.pusher.executor import Executor

    blessing, pushed_model, converted = artifacts.ModelBlessing(), artifacts.PushedModel(), []
    blessing.set_int_custom_property("blessed", 1)
    for number, flatbuffer in enumerate(flatbuffers):
        artifact = TFLiteModel()
        artifact.uri, artifact.mode = str(flatbuffer.folder), flatbuffer.mode
        artifact.blessed, artifact.reason = number, f"number {number}"
        converted.append(artifact)
    config = PusherConfig(destination=Destination(tflite_directory=str(base)))
    inputs = {"tflite_model": converted, "model_blessing": [blessing]}
    Executor().Do(inputs, {"pushed_model": [pushed_model]}, {"config": config.model_dump_json()})
    reason = (
        "blessed by the Evaluator and the TFLiteConverter, published as version 1: int8; left out: float32: number 0"
    )
    assert pushed_model.get_string_custom_property("reason") == reason
    assert pushed_model.get_string_custom_property("modes") == "int8"
    assert pushed_model.get_string_custom_property("pushed_destination") == str(base / "1")
    assert pushed_model.get_string_custom_property("model_name") == "digits"
    verify(base / "1")


def test_the_component_carries_its_config_as_one_json_string(artifacts: Any):
    from tfx.types import channel_utils

    from penstock.components.pusher.component import Pusher

    config = PusherConfig(destination=Destination(directory="/serving"), version=7, require_blessing=True)
    pusher = Pusher(
        model=channel_utils.as_channel([artifacts.Model()]),
        model_blessing=channel_utils.as_channel([artifacts.ModelBlessing()]),
        config=config,
    )
    assert list(pusher.exec_properties) == ["config"]
    assert PusherConfig.model_validate_json(pusher.exec_properties["config"]) == config
    assert sorted(pusher.inputs) == ["model", "model_blessing"]
    assert pusher.outputs["pushed_model"].type is artifacts.PushedModel
    assert pusher.type == "penstock.components.pusher.component.Pusher"


@pytest.mark.parametrize(("place", "needed"), [("directory", "model"), ("tflite_directory", "tflite_model")])
def test_the_component_needs_what_it_pushes(place: str, needed: str):
    from penstock.components.pusher.component import Pusher

    config = PusherConfig.model_validate({"destination": {place: "/serving"}})
    with pytest.raises(ValueError, match=f"input '{needed}' is needed for destination /serving"):
        Pusher(config=config)
