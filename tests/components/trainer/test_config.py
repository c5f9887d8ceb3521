from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import BaseModel, ValidationError

from penstock.components.trainer.config import TrainerConfig

BASE = {"model_fn": "wine.model.build", "label": "label"}


def config(**options: object) -> TrainerConfig:
    return TrainerConfig.model_validate({**BASE, **options})


def message(**options: object) -> str:
    with pytest.raises(ValidationError) as caught:
        config(**options)
    return str(caught.value.errors()[0]["msg"])


def test_is_importable_without_tensorflow() -> None:
    code = (
        "import sys, penstock.components.trainer.config\n"
        "print([m for m in ('tensorflow', 'tfx', 'keras', 'apache_beam', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_defaults() -> None:
    made = config()
    assert (made.epochs, made.steps, made.batch_size, made.strategy.name) == (1, None, 64, "default")


def test_steps_and_epochs_exclude_each_other() -> None:
    assert (config(steps=10).epochs, config(steps=10).steps) == (None, 10)
    assert message(steps=10, epochs=2) == (
        "Value error, give epochs or steps, not both; received epochs 2 and steps 10"
    )


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("mirrord", "unknown strategy 'mirrord'; allowed: default, mirrored; did you mean 'mirrored'?"),
        ({"name": "tpu"}, "unknown strategy 'tpu'; allowed: default, mirrored"),
        ({"devices": ["cpu:0"]}, "unknown strategy None; allowed: default, mirrored"),
        ({"name": "mirrored", "workers": 2}, "strategy 'mirrored' has no option 'workers'; allowed: devices"),
        ({"name": "default", "devices": []}, "strategy 'default' has no option 'devices'; allowed: none besides name"),
    ],
)
def test_a_strategy_or_option_that_does_not_exist(strategy: object, expected: str) -> None:
    assert message(strategy=strategy) == f"Value error, {expected}"


def test_a_strategy_by_name_equals_the_one_by_mapping() -> None:
    assert config(strategy="mirrored") == config(strategy={"name": "mirrored"})


def test_survives_json() -> None:
    made = config(
        strategy={"name": "mirrored", "devices": ["cpu:0"]}, steps=3, hparams={"units": [1, 2], "deep": {"a": None}}
    )
    assert TrainerConfig.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 0},
        {"epochs": 0},
        {"model_fn": "build"},
        {"model_fn": "wine/model.build"},
        {"label": ""},
        {"seed": 2**32},
        {"gate": {"rows": 0}},
        {"input": {"cache": "disk"}},
        {"input": {"parallel_reads": 0}},
        {"runtime": {"logical_devices": {"gpu": 2}}},
        {"strategy": {"name": "mirrored", "devices": []}},
        {"units": 3},
    ],
)
def test_refuses(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        config(**options)


def test_every_field_is_described() -> None:
    def undescribed(model: type[BaseModel]) -> list[str]:
        return [name for name, field in model.model_fields.items() if not field.description]

    schema = TrainerConfig.model_json_schema()
    assert undescribed(TrainerConfig) == []
    for name, definition in schema["$defs"].items():
        for option, described in definition.get("properties", {}).items():
            assert described.get("description"), f"{name}.{option}"


def test_the_json_schema_accepts_a_bare_strategy_name() -> None:
    schema = TrainerConfig.model_json_schema()["properties"]["strategy"]
    assert {"enum": ["default", "mirrored"], "type": "string"} in schema["anyOf"]
