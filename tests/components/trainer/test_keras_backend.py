from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.components.trainer.data import keras_3

Findings = dict[str, dict[str, dict[str, Any]]]
STRATEGIES = ["default", "mirrored", "central_storage"]


@dataclass(frozen=True)
class Output:
    """What tests/components/trainer/two_replicas.py printed under one Keras."""

    keras: str
    findings: Findings
    refusal: str


@pytest.fixture
def keras() -> Iterator[Any]:
    made = keras_3()
    made.set_seed(0)
    with made.precision("float32"):
        yield made


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def output(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Output:
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.components.trainer.two_replicas",
            request.param,
            str(tmp_path_factory.mktemp("out")),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=400,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    return Output(request.param, **json.loads(done.stdout))


@pytest.fixture(scope="module")
def found(output: Output) -> Findings:
    """Findings by model and strategy."""
    return output.findings


def each(found: Findings) -> Iterator[dict[str, Any]]:
    for by_strategy in found.values():
        yield from by_strategy.values()


@pytest.mark.parametrize("strategy", STRATEGIES[1:])
def test_replicas_train_and_evaluate_as_one_does(found: Findings, strategy: str) -> None:
    alone, together = found["plain"]["default"], found["plain"][strategy]
    for part in ("logs", "evaluation", "warm_logs"):
        assert together[part] == pytest.approx(alone[part], rel=1e-5), part
    for name, value in alone["weights"].items():
        for row, expected in zip(together["weights"][name], value, strict=True):
            assert row == pytest.approx(expected, abs=1e-6)


def test_moving_statistics_and_random_numbers_under_every_strategy(found: Findings) -> None:
    mirrored, central = found["stateful"]["mirrored"], found["stateful"]["central_storage"]
    assert mirrored["logs"] == pytest.approx(central["logs"], rel=1e-5)
    for name, value in mirrored["weights"].items():
        assert central["weights"][name] == [pytest.approx(row, abs=1e-5) for row in value]
    statistics = [kind for name, kind in mirrored["aggregation"].items() if "moving" in name]
    assert statistics == ["MEAN", "MEAN"]


def test_no_variable_is_made_while_steps_are_traced(found: Findings) -> None:
    assert [findings["variables"] for findings in each(found)] == [
        *[[[4, 10, 6]] * 2] * 3,
        *[[[7, 10, 6]] * 2] * 3,
        [[4, 10, 6]] * 2,
    ]
    assert [findings["reset"] for findings in each(found)] == [0.0] * 7


def test_the_model_is_exported_as_if_it_had_trained_alone(found: Findings) -> None:
    for findings in each(found):
        trained, exported = findings["layers"]
        assert trained == exported
        assert not findings["distributed"]
        assert findings["iterations"] == 5
    gates = [findings["gate"] for findings in each(found) if "gate" in findings]
    assert gates == [[[name, 5, None] for name in ("doubled", "predict", "serving_default")]] * 3


def test_a_warm_start_takes_the_weights_and_a_new_optimizer(found: Findings) -> None:
    for findings in each(found):
        weights = {name: value for name, value in findings["weights"].items() if name in findings["warm_weights"]}
        assert findings["warm_weights"] == weights
        assert findings["warm"] == len(weights) > 0
        assert findings["warm_iterations"] == 0
    went_on = [findings for findings in each(found) if "warm_logs" in findings]
    assert len(went_on) == 4
    assert all(findings["warm_logs"]["loss"] < findings["logs"]["loss"] for findings in went_on)


def test_the_other_keras_needs_a_process_of_its_own(output: Output) -> None:
    other, wanted = ("tf_keras", "1") if output.keras == "keras" else ("keras", "0")
    assert output.refusal == (
        f"keras: {other} needs a process of its own\n"
        f"  received: a process in which tf.keras is {output.keras}\n"
        f"  expected: TF_USE_LEGACY_KERAS={wanted} before TensorFlow and TFX are imported"
    )


def test_models_of_either_keras(keras: Any) -> None:
    import tf_keras

    from penstock.components.trainer.keras_backend import is_sequential

    own, other = keras.module.Sequential(), tf_keras.Sequential()
    assert (keras.is_model(own), keras.is_foreign_model(own)) == (True, False)
    assert (keras.is_model(other), keras.is_foreign_model(other)) == (False, True)
    assert (keras.is_model("model"), keras.is_foreign_model("model")) == (False, False)
    assert [is_sequential(model) for model in (own, other, keras.module.Model())] == [True, True, False]


def test_precision_ends_with_its_block(keras: Any) -> None:
    def policy() -> str:
        return str(keras.module.config.dtype_policy().name)

    def fail() -> None:
        with keras.precision("mixed_bfloat16"):
            seen.append(policy())
            keras.restart_names()
            seen.append(policy())
            raise ZeroDivisionError

    seen: list[str] = []
    with pytest.raises(ZeroDivisionError):
        fail()
    assert [*seen, policy()] == ["mixed_bfloat16", "mixed_bfloat16", "float32"]


@pytest.mark.parametrize(
    ("policy", "expected"), [("float32", 2.0**-23), ("mixed_float16", 2.0**-10), ("mixed_bfloat16", 2.0**-7)]
)
def test_the_resolution_of_the_coarsest_type(keras: Any, policy: str, expected: float) -> None:
    layers = keras.module.layers
    with keras.precision(policy):
        model = keras.module.Sequential([keras.module.Input((2,)), layers.Dense(2), layers.Softmax(dtype="float32")])
    assert keras.resolution(model) == expected


def test_names_are_numbered_from_the_start_again(keras: Any) -> None:
    names = []
    for _ in range(2):
        keras.restart_names()
        names.append([keras.module.layers.Dense(1).name for _ in range(2)])
    assert names == [["dense", "dense_1"]] * 2


def test_metrics_of_the_users_own_are_no_state_and_dictionaries_become_flat(keras: Any) -> None:
    import tensorflow as tf

    module = keras.module

    class Spread(module.metrics.Metric):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__(name="spread")
            self.least = self.add_variable((), "zeros", name="least")

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.least.assign(3.0)

        def result(self) -> Any:
            return {"least": self.least * 1, "both": {"twice": self.least * 2}}

    class Net(module.Model):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.score = module.layers.Dense(1)
            self.seen = module.metrics.Mean(name="seen")

        def call(self, point: Any) -> Any:
            return self.score(point)

    model = Net()
    model.compile("sgd", "mse", metrics=[Spread()])
    batch = (tf.ones([4, 2]), tf.ones([4, 1]))
    keras.build(model, batch)
    assert [variable.name for variable in keras.variables_of(model)] == ["net/kernel:0", "net/bias:0"]
    assert len(keras.metric_variables(model)) == 5
    model.train_step(batch)
    results = {name: float(value) for name, value in keras.epoch_results(model).items()}
    assert {name: value for name, value in results.items() if name != "loss"} == {
        "seen": 0.0,
        "spread_least": 3.0,
        "spread_both_twice": 6.0,
    }
    keras.reset_metrics(model)
    assert not any(float(value) for value in keras.epoch_results(model).values())
