"""Every strategy trains the same weights from the same seed, data and global batch.

Sums of floats in another order are all that may differ. Measured: metrics by 2e-7 of their value, weights by 6e-7; with
XLA, which computes in another way, weights by 5e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.components.trainer.agreement import (
    EPOCHS,
    EVALUATION_ROWS,
    GLOBAL_BATCH,
    TRAINING_ROWS,
    Bench,
    Outcome,
    build_with_tf_keras,
)

METRICS, WEIGHTS = 5e-6, 1e-5
"""Largest difference of metrics, relative, and of weights, absolute, after ten steps of Adam."""
HALVES = {"batch_size": GLOBAL_BATCH // 2}
STEPS = 5 * EPOCHS
SPLIT = {
    "name": "parameter_server",
    "workers": 1,
    "ps": 2,
    "partitioner": {"name": "min_size", "bytes": 16 * 1024},
}
"""One worker takes the steps in their order; the embedding, 64 kB, is cut into two shards."""
ALONE: dict[str, dict[str, Any]] = {
    name: {"strategy": name, **config}
    for name, config in {"default": {}, "one_device": {}, "mirrored": HALVES, "central_storage": HALVES}.items()
}
"""The strategies of one process."""
Outcomes = dict[str, Outcome]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("agreement"))


@pytest.fixture(scope="module")
def keras_3(bench: Bench) -> Outcomes:
    """Trainings under Keras 3 in one process: under each strategy, and in other ways of computing the same."""
    mixed = {"precision": "mixed_bfloat16"}
    ways: dict[str, dict[str, Any]] = {
        "singly": {"steps_per_execution": 1},
        "by_seven": {"steps_per_execution": 7},
        "compiled": {"runtime": {"jit_compile": True}},
        "on_devices": {
            "strategy": "central_storage",
            "input": {"autoshard": "data", "prefetch_to_device": True},
            **HALVES,
        },
        "mixed": mixed,
        "mixed_mirrored": {"strategy": "mirrored", **HALVES, **mixed},
    }
    return bench.train_together("keras", {**{f"keras-{name}": each for name, each in ALONE.items()}, **ways})


@pytest.fixture(scope="module", params=["keras", "tf_keras"])
def trained(bench: Bench, request: pytest.FixtureRequest) -> Outcomes:
    """What each strategy made of the same training, under one Keras."""
    keras: str = request.param
    if keras == "keras":
        outcomes = dict(request.getfixturevalue("keras_3"))
    else:
        outcomes = bench.train_together(keras, {f"{keras}-{name}": each for name, each in ALONE.items()})
    workers = f"{keras}-multi_worker_mirrored"
    ring = {"name": "multi_worker_mirrored", "workers": 2, "communication": "ring"}
    outcomes[workers] = bench.train_in_cluster(workers, {"keras": keras, "strategy": ring, **HALVES})
    if keras == "tf_keras":
        model_fn = f"{build_with_tf_keras.__module__}.{build_with_tf_keras.__name__}"
        servers = {"keras": keras, "strategy": SPLIT, "model_fn": model_fn}
        outcomes["tf_keras-parameter_server"] = bench.train_in_cluster("tf_keras-parameter_server", servers)
    prefix = f"{keras}-"
    return {name.removeprefix(prefix): made for name, made in outcomes.items() if name.startswith(prefix)}


@pytest.fixture(scope="module")
def variants(keras_3: Outcomes) -> Outcomes:
    """The same training in other ways of computing it, under Keras 3; ``auto`` is the one that asks for none."""
    return {"auto": keras_3["keras-default"], **keras_3}


def others(trained: Outcomes) -> Iterator[tuple[str, Outcome]]:
    yield from ((name, outcome) for name, outcome in trained.items() if name != "default")


def assert_same_weights(outcome: Outcome, alone: Outcome, tolerance: float = WEIGHTS) -> None:
    assert outcome.weights.keys() == alone.weights.keys()
    for name, weights in alone.weights.items():
        assert outcome.weights[name] == pytest.approx(weights, abs=tolerance), name


def test_metrics_of_every_epoch_agree(trained: Outcomes) -> None:
    alone = trained["default"].history
    assert len(alone["loss"]) == EPOCHS
    for name, outcome in others(trained):
        assert outcome.history.keys() == alone.keys()
        for metric, values in alone.items():
            assert outcome.history[metric] == pytest.approx(values, rel=METRICS), (name, metric)


def test_weights_agree(trained: Outcomes) -> None:
    for _, outcome in others(trained):
        assert_same_weights(outcome, trained["default"])


def test_every_row_counts_once(trained: Outcomes) -> None:
    for name, outcome in trained.items():
        history = outcome.history
        assert (history["rows"], history["val_rows"]) == ([TRAINING_ROWS] * EPOCHS, [EVALUATION_ROWS] * EPOCHS), name
        assert outcome.report["course"]["rows_left_out"] == 0


def test_steps_and_batches_are_reported(trained: Outcomes) -> None:
    replicas = {name: outcome.report["replicas"] for name, outcome in trained.items()}
    expected = {"default": 1, "one_device": 1, "mirrored": 2, "central_storage": 2, "multi_worker_mirrored": 2}
    assert replicas == {**expected, **({"parameter_server": 1} if "parameter_server" in trained else {})}
    for name, outcome in trained.items():
        report = outcome.report
        assert (report["course"]["steps"], report["global_batch_size"], report["strategy"]["name"]) == (
            STEPS,
            GLOBAL_BATCH,
            name,
        )


def test_every_export_passes_the_gate(trained: Outcomes) -> None:
    for outcome in trained.values():
        checks = outcome.report["signatures"]
        assert [(check["signature"], check["rows"], check["not_checked"]) for check in checks] == [
            ("predict", 64, None),
            ("serving_default", 64, None),
        ]


def test_replicas_exchange_the_rows_of_the_batch(trained: Outcomes) -> None:
    """106 floats of dense gradients, and the last batch's 22 rows of an embedding: their numbers and 8 floats each."""
    sizes = {name: outcome.report["speed"]["bytes_per_all_reduce"] for name, outcome in trained.items()}
    size = 4 * (106 + 22 * 9)
    together = {"mirrored": size, "central_storage": size, "multi_worker_mirrored": size}
    assert {name: found for name, found in sizes.items() if found is not None} == together


def test_parameter_servers_train_keras_3_on_the_users_rows(bench: Bench) -> None:
    """Two workers; that one reads the Trainer's own rows is shown above, under the other Keras."""
    strategy = {"name": "parameter_server", "workers": 2}
    config = {"strategy": strategy, "dataset_fn": f"{Bench.__module__}.rows", "epochs": 4}
    outcome = bench.train_in_cluster("servers", config)
    report, history = outcome.report, outcome.history
    assert history["val_rows"] == [EVALUATION_ROWS] * 4
    assert max(history["val_accuracy"]) > 0.7
    for split in ("", "val_"):
        # What one worker adds to a metric is not lost to another.
        assert history[f"{split}loss"] == pytest.approx(history[f"{split}entropy"], rel=METRICS)
    assert (report["course"]["steps"], report["workers"], report["global_batch_size"]) == (20, 2, GLOBAL_BATCH)
    assert outcome.arrays["optimizer/vars/0"] == 20
    assert [(check["rows"], check["not_checked"]) for check in report["signatures"]] == [(64, None)] * 2


@pytest.mark.parametrize(("name", "tolerance"), [("singly", WEIGHTS), ("by_seven", WEIGHTS), ("compiled", 1e-4)])
def test_steps_in_one_call_change_no_weight(variants: Outcomes, name: str, tolerance: float) -> None:
    assert_same_weights(variants[name], variants["auto"], tolerance)
    assert variants[name].history["val_loss"] == pytest.approx(variants["auto"].history["val_loss"], rel=1e-4)


def test_batches_may_be_copied_ahead_to_the_devices(variants: Outcomes) -> None:
    assert_same_weights(variants["on_devices"], variants["auto"])
    assert variants["on_devices"].history == {
        name: pytest.approx(values, rel=METRICS) for name, values in variants["auto"].history.items()
    }


def test_steps_per_execution_are_reported(variants: Outcomes) -> None:
    # An epoch has five steps: no call takes seven.
    chosen = {name: variants[name].report["speed"]["steps_per_execution"] for name in ("singly", "by_seven")}
    assert chosen == {"singly": 1, "by_seven": 7}


def test_mixed_precision_agrees_within_its_own_resolution(variants: Outcomes) -> None:
    whole, mixed, mirrored = (variants[name] for name in ("auto", "mixed", "mixed_mirrored"))
    assert mirrored.history["val_loss"] == pytest.approx(mixed.history["val_loss"], rel=2**-7)
    assert mixed.history["val_loss"] == pytest.approx(whole.history["val_loss"], rel=2**-5)
    assert mixed.history["val_loss"] != pytest.approx(whole.history["val_loss"], rel=METRICS)
    assert [outcome.report["precision"] for outcome in (mixed, mirrored)] == ["mixed_bfloat16"] * 2
