"""The TFX side: channels, the translation in Do, and the artifact's properties."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.config import TrainerConfig
from penstock.errors import ArtifactError, ConfigError
from tests.components.trainer.conftest import BUILD
from tests.components.trainer.data import ToyData


@pytest.fixture(scope="module")
def tfx_types() -> Any:
    from tfx.types import standard_artifacts

    return standard_artifacts


@pytest.fixture
def artifacts(tfx_types: Any, toy: ToyData, tmp_path: Path) -> dict[str, Any]:
    """Inputs and outputs as TFX hands them to Do."""

    def at(kind: Any, uri: Path, **attributes: Any) -> list[Any]:
        artifact = kind()
        artifact.uri = str(uri)
        for name, value in attributes.items():
            setattr(artifact, name, value)
        return [artifact]

    schema = tmp_path / "schema"
    schema.mkdir()
    (schema / "schema.pbtxt").write_text(toy.schema.read_text())
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    values = {"values": {"rate": 0.2, "tuner/epochs": 3}, "space": []}
    (tuned / "best_hyperparameters.txt").write_text(json.dumps(values))
    return {
        "at": at,
        "inputs": {
            "examples": at(tfx_types.Examples, toy.schema.parent, split_names='["train", "eval"]'),
            "schema": at(tfx_types.Schema, schema),
            "hyperparameters": at(tfx_types.HyperParameters, tuned),
        },
        "outputs": {
            "model": at(tfx_types.Model, tmp_path / "model"),
            "model_run": at(tfx_types.ModelRun, tmp_path / "run"),
        },
    }


def properties(**options: Any) -> dict[str, str]:
    config = TrainerConfig.model_validate({"model_fn": "model.build", "label": "label", **options})
    return {"config": config.model_dump_json()}


def test_the_spec_wires_and_carries_the_config(tfx_types: Any) -> None:
    from tfx.types import Channel

    from penstock.components.trainer.component import Trainer

    config = TrainerConfig(model_fn="wine.model.build", label="label", strategy={"name": "mirrored"})
    trainer = Trainer(examples=Channel(type=tfx_types.Examples), schema=Channel(type=tfx_types.Schema), config=config)
    assert sorted(trainer.inputs) == ["examples", "schema"]
    assert {name: channel.type for name, channel in trainer.outputs.items()} == {
        "model": tfx_types.Model,
        "model_run": tfx_types.ModelRun,
    }
    assert TrainerConfig.model_validate_json(trainer.exec_properties["config"]) == config
    assert trainer.type == "penstock.components.trainer.component.Trainer"


def test_do_trains_and_records(artifacts: dict[str, Any], user_module: Callable[[str], str], tmp_path: Path) -> None:
    import keras
    import tensorflow as tf
    from tfx.utils import path_utils

    from penstock.components.trainer.executor import Executor

    config = properties(model_fn=f"{user_module(BUILD)}.build", batch_size=32, epochs=2, hparams={"depth": 1})
    Executor().Do(artifacts["inputs"], artifacts["outputs"], config)
    (model,) = artifacts["outputs"]["model"]
    assert {
        name: model.get_custom_property(name)
        for name in ("strategy", "replicas", "global_batch_size", "epochs", "steps", "keras_version", "hparams")
    } == {
        "strategy": "default",
        "replicas": 1,
        "global_batch_size": 32,
        "epochs": 2,
        "steps": 16,
        "keras_version": keras.__version__,
        "hparams": '{"depth": 1, "rate": 0.2}',
    }
    assert model.get_string_custom_property("tensorflow_version") == tf.__version__
    assert 0.5 < model.get_float_custom_property("val_accuracy") <= 1.0
    assert model.get_float_custom_property("loss") < 0.7
    assert (Path(path_utils.serving_model_path(model.uri)) / "saved_model.pb").is_file()
    assert (tmp_path / "model" / "Format-Keras" / "model.keras").is_file()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "history.json",
        "train",
        "training_report.json",
        "validation",
    ]


def request(artifacts: dict[str, Any], **options: Any) -> Any:
    from penstock.components.trainer.executor import _request

    return _request(artifacts["inputs"], artifacts["outputs"], properties(**options))


def test_the_request_names_files_and_folders(artifacts: dict[str, Any], toy: ToyData, tmp_path: Path) -> None:
    made = request(artifacts)
    assert (made.files.train, made.files.evaluation, made.files.raw_evaluation, made.files.transformed) == (
        toy.train,
        toy.evaluation,
        toy.evaluation,
        False,
    )
    assert made.saved_model == tmp_path / "model" / "Format-Serving"
    assert made.schema == tmp_path / "schema" / "schema.pbtxt"
    assert made.transform_graph is None
    assert made.tuned_hparams == {"rate": 0.2}


def test_a_training_goes_on_with_other_restarts_and_not_with_another_seed(artifacts: dict[str, Any]) -> None:
    folder = request(artifacts).checkpoints
    assert request(artifacts, max_restarts=3, checkpoint={"keep": 1}, gate={"rows": 1}).checkpoints == folder
    assert request(artifacts, seed=7).checkpoints != folder


def test_spans_are_read_together(artifacts: dict[str, Any], toy: ToyData) -> None:
    artifacts["inputs"]["examples"] *= 2
    assert request(artifacts).files.train == toy.train * 2


def test_transformed_examples_are_read_and_raw_ones_asked(
    artifacts: dict[str, Any], tfx_types: Any, toy: ToyData, tmp_path: Path
) -> None:
    inputs, at = artifacts["inputs"], artifacts["at"]
    for split in ("train", "eval"):
        (tmp_path / "materialised" / f"Split-{split}").mkdir(parents=True)
        (tmp_path / "materialised" / f"Split-{split}" / "rows.gz").write_bytes(b"")
    inputs["transformed_examples"] = at(tfx_types.Examples, tmp_path / "materialised", split_names='["train", "eval"]')
    with pytest.raises(ConfigError, match="transformed examples need the transform graph"):
        request(artifacts)
    inputs["transform_graph"] = at(tfx_types.TransformGraph, tmp_path / "graph")
    made = request(artifacts)
    assert made.files.train == (str(tmp_path / "materialised" / "Split-train" / "rows.gz"),)
    assert (made.files.raw_evaluation, made.files.transformed) == (toy.evaluation, True)
    assert made.transform_graph == tmp_path / "graph"


def test_a_split_that_is_not_there(artifacts: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError, match="the examples have no split 'evaluation'") as caught:
        request(artifacts, eval_split="evaluation")
    assert caught.value.expected == "one of train, eval"


def test_examples_of_another_format(artifacts: dict[str, Any]) -> None:
    (examples,) = artifacts["inputs"]["examples"]
    examples.set_string_custom_property("payload_format", "FORMAT_PROTO")
    with pytest.raises(ArtifactError, match=r"the Trainer reads tf\.Examples only") as caught:
        request(artifacts)
    assert caught.value.received == "FORMAT_PROTO"


@pytest.mark.parametrize("text", ["", "[]", '{"space": []}'])
def test_hyperparameters_that_are_none(artifacts: dict[str, Any], tmp_path: Path, text: str) -> None:
    (tmp_path / "tuned" / "best_hyperparameters.txt").write_text(text)
    with pytest.raises(ArtifactError, match="the hyperparameters cannot be read") as caught:
        request(artifacts)
    assert str(caught.value.where).endswith("best_hyperparameters.txt")
