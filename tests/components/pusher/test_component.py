"""The only tests of the Pusher that import TFX."""

from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.config import Destination, PusherConfig
from penstock.components.pusher.manifest import verify


@pytest.fixture(scope="module")
def artifacts() -> Any:
    from tfx.types import standard_artifacts

    return standard_artifacts


def _run(artifacts: Any, model: Path, base: Path, *, blessed: int | None) -> Any:
    from penstock.components.pusher.executor import Executor

    trained, pushed_model = artifacts.Model(), artifacts.PushedModel()
    trained.uri = str(model.parent)
    inputs = {"model": [trained]}
    if blessed is not None:
        blessing = artifacts.ModelBlessing()
        blessing.set_int_custom_property("blessed", blessed)
        inputs["model_blessing"] = [blessing]
    config = PusherConfig(destination=Destination(directory=str(base)))
    Executor().Do(inputs, {"pushed_model": [pushed_model]}, {"config": config.model_dump_json()})
    return pushed_model


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
    assert not {"version", "pushed_version", "pushed_destination", "digest"} & set(
        pushed_model.mlmd_artifact.custom_properties
    )
    assert not base.exists()


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
