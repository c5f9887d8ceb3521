from __future__ import annotations

import json
import math
from typing import Any

import pytest

from penstock.components.trainer.early_stopping import EarlyStop
from penstock.components.trainer.options import EarlyStopping
from penstock.errors import UserCodeError


def watch(values: list[float], **options: Any) -> tuple[list[bool], int | None]:
    """Feed the values epoch by epoch; returns what each update said, and the best epoch."""
    early = EarlyStop(EarlyStopping(**options))
    name = options.get("monitor", "val_loss")
    said = [early.update(epoch, {name: value}) for epoch, value in enumerate(values, start=1)]
    return said, early.best_epoch


def test_without_patience_the_first_worse_epoch_is_the_last() -> None:
    assert watch([1.0, 0.5, 0.5]) == ([False, False, True], 2)


def test_patience_counts_the_epochs_after_which_training_ends() -> None:
    assert watch([1.0, 2.0, 2.0], patience=2) == ([False, False, True], 1)
    assert watch([1.0, 2.0, 0.5, 2.0], patience=2) == ([False] * 4, 3)
    assert watch([1.0, 2.0], patience=1) == watch([1.0, 2.0], patience=0) == ([False, True], 1)


def test_an_accuracy_has_to_grow() -> None:
    assert watch([0.5, 0.7, 0.6], monitor="val_accuracy") == ([False, False, True], 2)


def test_a_smaller_change_than_min_delta_is_none() -> None:
    assert watch([1.0, 0.95], min_delta=0.1) == ([False, True], 1)
    assert watch([1.0, 0.85], min_delta=0.1) == ([False, False], 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_never_better(value: float) -> None:
    assert watch([value, 1.0, value], patience=2) == ([False, False, False], 2)
    assert watch([value]) == ([True], None)


def test_improved_tells_when_to_keep_the_weights() -> None:
    early = EarlyStop(EarlyStopping(patience=5))
    seen = []
    for epoch, loss in enumerate([1.0, 2.0, 0.5], start=1):
        early.update(epoch, {"val_loss": loss})
        seen.append(early.improved)
    assert seen == [True, False, True]


@pytest.mark.parametrize(
    ("monitor", "better"),
    [
        ("val_loss", "lower"),
        ("loss", "lower"),
        ("val_scores_loss", "lower"),
        ("val_mean_absolute_error", "lower"),
        ("val_root_mean_squared_error_1", "lower"),
        ("val_RMSE", "lower"),
        ("val_sparse_categorical_crossentropy", "lower"),
        ("val_false_positives", "lower"),
        ("val_kl_divergence", "lower"),
        ("val_accuracy", "higher"),
        ("val_auc_2", "higher"),
        ("val_lossless_ratio", "higher"),
        ("val_cosine_similarity", "higher"),
        ("val_true_positives", "higher"),
    ],
)
def test_which_direction_is_better(monitor: str, better: str) -> None:
    said, _ = watch([1.0, 0.5], monitor=monitor)
    assert said[1] is (better == "higher")


def test_the_mode_can_be_said() -> None:
    assert watch([1.0, 0.5], monitor="val_accuracy", mode="min") == ([False, False], 2)
    assert watch([1.0, 2.0], mode="max") == ([False, False], 2)


def test_it_goes_on_from_its_state() -> None:
    options = EarlyStopping(patience=2)
    first = EarlyStop(options)
    first.update(1, {"val_loss": 0.5})
    first.update(2, {"val_loss": 0.6})
    state = first.to_dict()
    assert state == {"best": 0.5, "best_epoch": 1, "epochs_without": 1}
    second = EarlyStop(options)
    second.load(json.loads(json.dumps(state, allow_nan=False)))
    assert (second.best_epoch, second.improved, second.stopped) == (1, False, False)
    assert second.update(3, {"val_loss": 0.6})
    third = EarlyStop(options)
    third.load(second.to_dict())
    assert third.stopped


def test_a_metric_that_is_not_there() -> None:
    early = EarlyStop(EarlyStopping(monitor="val_acuracy"))
    with pytest.raises(UserCodeError) as caught:
        early.update(1, {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0, "val_accuracy": 0.5})
    assert str(caught.value) == (
        "early_stopping watches 'val_acuracy', and the model has no such metric\n"
        "  received: early_stopping.monitor 'val_acuracy'\n"
        "  expected: one of loss, accuracy, val_loss, val_accuracy\n"
        "  next: did you mean 'val_accuracy'?"
    )


def test_a_metric_that_is_like_none_of_them() -> None:
    with pytest.raises(UserCodeError) as caught:
        EarlyStop(EarlyStopping(monitor="bleu")).check(["loss", "val_loss"])
    assert caught.value.hint == "add it to the metrics that model_fn compiles the model with"
    with pytest.raises(UserCodeError) as caught:
        EarlyStop(EarlyStopping()).check([])
    assert caught.value.expected == "a metric, and there is none"
