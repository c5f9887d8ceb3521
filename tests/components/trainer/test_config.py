"""What may stand under the Trainer's ``with:``, and what is said of what may not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.strategy_options import STRATEGIES, MirroredStrategy

BASE = {"model_fn": "wine.model.build", "label": "label"}
ALL = "default, one_device, mirrored, central_storage, multi_worker_mirrored, parameter_server, tpu"


def config(**options: Any) -> TrainerConfig:
    return TrainerConfig.model_validate({**BASE, **options})


def problems(**options: Any) -> list[tuple[str, str]]:
    """Return where the problems are, and what is said."""
    with pytest.raises(ValidationError) as caught:
        config(**options)
    return [
        (".".join(map(str, error["loc"])), error["msg"].removeprefix("Value error, "))
        for error in caught.value.errors()
    ]


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
    assert (made.keras, made.precision, made.steps_per_execution, made.max_restarts) == ("keras", "float32", "auto", 0)


def test_steps_and_epochs_exclude_each_other() -> None:
    assert (config(steps=10).epochs, config(steps=10).steps) == (None, 10)
    assert problems(steps=10, epochs=2) == [("", "give epochs or steps, not both; received epochs 2 and steps 10")]


def test_early_stopping_needs_epochs() -> None:
    assert config(early_stopping={"patience": 2}, epochs=9).early_stopping is not None
    assert problems(early_stopping={"patience": 2}, steps=10) == [
        (
            "",
            (
                "early_stopping looks at the metrics after every epoch, and steps: 10 makes no epochs; give epochs, or "
                "leave early_stopping out"
            ),
        )
    ]


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("mirrord", f"unknown strategy 'mirrord'; allowed: {ALL}; did you mean 'mirrored'?"),
        (
            {"name": "multiworker"},
            f"unknown strategy 'multiworker'; allowed: {ALL}; did you mean 'multi_worker_mirrored'?",
        ),
        ({"name": 3}, f"unknown strategy 3; allowed: {ALL}"),
        ({"name": ["mirrored"]}, f"unknown strategy ['mirrored']; allowed: {ALL}; did you mean 'mirrored'?"),
        ({"devices": ["cpu:0"]}, f"a strategy has a name; allowed: {ALL}"),
        ({"name": None}, f"a strategy has a name; allowed: {ALL}"),
        (None, f"a strategy has a name; allowed: {ALL}"),
        (["mirrored"], f"a strategy has a name; allowed: {ALL}"),
        (
            {"name": "mirrored", "workers": 2, "ps": 1},
            "strategy 'mirrored' has no option 'ps', 'workers'; allowed: cross_device_ops, devices",
        ),
        ({"name": "default", "devices": []}, "strategy 'default' has no option 'devices'; allowed: none besides name"),
        (
            {"name": "multi_worker_mirrored", "partitioner": {"name": "fixed"}},
            "strategy 'multi_worker_mirrored' has no option 'partitioner'; allowed: communication, workers",
        ),
        (
            {"name": "parameter_server", "communication": "ring"},
            (
                "strategy 'parameter_server' has no option 'communication'; "
                "allowed: asynchronous, partitioner, ps, workers"
            ),
        ),
        ({"name": "tpu", "workers": 2}, "strategy 'tpu' has no option 'workers'; allowed: address"),
    ],
)
def test_a_strategy_or_option_that_does_not_exist(strategy: object, message: str) -> None:
    assert problems(strategy=strategy) == [("strategy", message)]


@pytest.mark.parametrize(
    ("strategy", "place", "message"),
    [
        ({"name": "multi_worker_mirrored", "workers": 0}, "workers", "Input should be greater than 0"),
        ({"name": "parameter_server", "ps": 0}, "ps", "Input should be greater than 0"),
        ({"name": "multi_worker_mirrored", "communication": "ncll"}, "communication", "'auto', 'ring' or 'nccl'"),
        (
            {"name": "mirrored", "cross_device_ops": "ring"},
            "cross_device_ops",
            "'auto', 'nccl', 'hierarchical_copy' or 'reduction_to_one'",
        ),
        ({"name": "mirrored", "devices": []}, "devices", "Tuple should have at least 1 item after validation, not 0"),
        ({"name": "mirrored", "devices": "cpu:0"}, "devices", "Input should be a valid tuple"),
        (
            {"name": "parameter_server", "partitioner": {"name": "fixd"}},
            "partitioner.name",
            "'min_size', 'max_size' or 'fixed'",
        ),
    ],
)
def test_an_option_of_a_strategy_that_is_wrong(strategy: dict[str, object], place: str, message: str) -> None:
    said = message if message[0] != "'" else f"Input should be {message}"
    assert problems(keras="tf_keras", strategy=strategy) == [(f"strategy.{strategy['name']}.{place}", said)]


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_by_name_equals_the_one_by_mapping(name: str) -> None:
    made = config(strategy=name)
    assert made == config(strategy={"name": name})
    assert type(made.strategy) is STRATEGIES[name]


def test_a_strategy_that_is_made_already() -> None:
    made = MirroredStrategy(name="mirrored", devices=("cpu:0",))
    assert config(strategy=made).strategy is made


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        (
            {"strategy": {"name": "parameter_server", "partitioner": {"name": "fixed", "shards": 2}}},
            "",
            (
                "strategy.partitioner splits variables, which Keras 3 cannot hold; set keras: tf_keras, or leave the "
                "partitioner out"
            ),
        ),
        (
            {"strategy": "parameter_server", "input": {"cache": "memory"}},
            "",
            (
                "input.cache: memory would keep the rows in the coordinator, and the workers of strategy "
                "parameter_server read for themselves; leave cache out"
            ),
        ),
        (
            {"strategy": "parameter_server", "runtime": {"deterministic": True}},
            "",
            (
                "runtime.deterministic cannot hold under strategy parameter_server, whose workers change the weights "
                "in the order in which they happen to be ready; leave deterministic out"
            ),
        ),
        (
            {"quantize_aware": True},
            "",
            (
                "quantize_aware wraps layers by tensorflow-model-optimization, which knows no Keras 3; set keras: "
                "tf_keras, or leave quantize_aware out"
            ),
        ),
        (
            {"quantize_aware": True, "keras": "tf_keras", "precision": "mixed_bfloat16"},
            "",
            ("quantize_aware rounds float32 values, and precision mixed_bfloat16 has none; leave one of the two out"),
        ),
        (
            {
                "quantize_aware": True,
                "keras": "tf_keras",
                "strategy": {"name": "parameter_server", "partitioner": {"name": "fixed", "shards": 2}},
            },
            "",
            (
                "quantize_aware measures the range of whole variables, and strategy.partitioner splits them; leave one "
                "of the two out"
            ),
        ),
        (
            {"runtime": {"gpu_memory": {"growth": True, "limit": 1000}}},
            "runtime.gpu_memory",
            "give growth or limit, not both; received growth and limit 1000",
        ),
        (
            {"runtime": {"logical_devices": {"gpu": 2}}},
            "runtime",
            (
                "logical_devices.gpu: 2 splits each GPU, and TensorFlow must be told how many MB a part has; set "
                "gpu_memory.limit"
            ),
        ),
        (
            {"tensorboard": {"profile_steps": [40, 20]}},
            "tensorboard",
            "the first step to profile comes after the last; received [40, 20]",
        ),
    ],
)
def test_options_that_exclude_each_other(options: dict[str, object], place: str, message: str) -> None:
    assert problems(**options) == [(place, message)]


@pytest.mark.parametrize(
    "options",
    [
        {"keras": "tf_keras", "strategy": {"name": "parameter_server", "partitioner": {"name": "fixed", "shards": 2}}},
        {"strategy": "multi_worker_mirrored", "input": {"cache": "memory"}, "runtime": {"deterministic": True}},
        {"runtime": {"gpu_memory": {"limit": 1000}, "logical_devices": {"gpu": 2}}},
        {"tensorboard": {"profile_steps": [20, 20]}},
        {"warm_start": {"from": "latest_blessed"}},
        {"keras": "tf_keras", "quantize_aware": True, "strategy": "parameter_server"},
    ],
)
def test_options_that_go_together(options: dict[str, object]) -> None:
    assert config(**options).model_dump(mode="json", by_alias=True).keys() >= options.keys()


def test_survives_json() -> None:
    made = config(
        strategy={"name": "mirrored", "devices": ["cpu:0"]},
        steps=3,
        hparams={"units": [1, 2], "deep": {"a": None}},
        warm_start={"from": "model.keras"},
        tensorboard={"profile_steps": [2, 4]},
    )
    assert TrainerConfig.model_validate_json(made.model_dump_json(by_alias=True)) == made


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"epochs": 0}, "epochs"),
        ({"model_fn": "build"}, "model_fn"),
        ({"model_fn": "wine/model.build"}, "model_fn"),
        ({"callbacks_fn": "callbacks"}, "callbacks_fn"),
        ({"label": ""}, "label"),
        ({"seed": 2**32}, "seed"),
        ({"keras": "keras2"}, "keras"),
        ({"precision": "float16"}, "precision"),
        ({"max_restarts": -1}, "max_restarts"),
        ({"gate": {"rows": 0}}, "gate.rows"),
        ({"input": {"cache": "disk"}}, "input.cache"),
        ({"input": {"autoshard": "files"}}, "input.autoshard"),
        ({"runtime": {"logical_devices": {"cpu": 0}}}, "runtime.logical_devices.cpu"),
        ({"runtime": {"inter_op_threads": -1}}, "runtime.inter_op_threads"),
        ({"checkpoint": {"keep": 0}}, "checkpoint.keep"),
        ({"early_stopping": {"patience": -1}}, "early_stopping.patience"),
        ({"early_stopping": {"mode": "lowest"}}, "early_stopping.mode"),
        ({"warm_start": "latest_blessed"}, "warm_start"),
        ({"tensorboard": {"profile_steps": [20]}}, "tensorboard.profile_steps"),
        ({"tensorboard": {"profile_steps": [1, 2, 3]}}, "tensorboard.profile_steps"),
        ({"units": 3}, "units"),
    ],
)
def test_refuses(options: dict[str, object], place: str) -> None:
    assert [where for where, _ in problems(**options)] == [place]


@pytest.mark.parametrize("options", [{"steps_per_execution": 0}, {"input": {"parallel_reads": 0}}])
def test_refuses_what_is_neither_a_count_nor_auto(options: dict[str, object]) -> None:
    assert {message for _, message in problems(**options)} == {
        "Input should be greater than 0",
        "Input should be 'auto'",
    }


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
    assert {"enum": list(STRATEGIES), "type": "string"} in schema["anyOf"]
