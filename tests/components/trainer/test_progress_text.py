from __future__ import annotations

import math
from typing import Any

import pytest

from penstock.components.trainer.progress_text import clock, duration, epoch_line, number, rate, size, status_line


def status(**changes: Any) -> str:
    given: dict[str, Any] = {
        "epoch": (3, 5),
        "step": (210, 575),
        "logs": {"accuracy": 0.974, "loss": 0.08123},
        "examples_per_second": 310_000.0,
        "seconds_left": 12.4,
    }
    return status_line(**{**given, **changes})


def test_the_status_line() -> None:
    assert status() == "epoch 3/5  step 210/575  loss 0.08123  accuracy 0.974  310k examples/s  0:12 left"


def test_a_single_epoch_is_not_named() -> None:
    assert status(epoch=(1, 1), logs={"loss": 2.0}) == "step 210/575  loss 2  310k examples/s  0:12 left"


def test_an_unknown_end_is_left_out() -> None:
    assert status(logs={}, seconds_left=None) == "epoch 3/5  step 210/575  310k examples/s"


def test_the_epoch_line() -> None:
    logs = {"accuracy": 0.974, "loss": 0.0812, "val_loss": 1e-05, "val_accuracy": 1.0}
    assert epoch_line(3, 5, 575, 2.13, logs) == (
        "epoch 3/5: 575 steps in 2.1 s, loss 0.0812, accuracy 0.974, val_loss 0.00001, val_accuracy 1"
    )
    assert epoch_line(1, 1, 1, 0.0123, {}) == "epoch 1/1: 1 step in 12 ms"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-0.25, "-0.25"),
        (0.974, "0.974"),
        (0.08123456, "0.08123"),
        (0.99999, "1"),
        (2.302585, "2.303"),
        (0.001, "0.001"),
        (1e-05, "0.00001"),
        (1.23456e-06, "0.000001235"),
        (3.2e-09, "3.2e-9"),
        (9.99999e-07, "1e-6"),
        (123.456, "123.5"),
        (12345.678, "12346"),
        (9_999_999.0, "9999999"),
        (32_100_000.0, "3.21e7"),
        (-1e30, "-1e30"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.5, "0.5"),
        (42.53, "42.5"),
        (950.0, "950"),
        (999.6, "1k"),
        (1234.0, "1.23k"),
        (31_040.0, "31k"),
        (310_000.0, "310k"),
        (999_950.0, "1M"),
        (1_200_000.0, "1.2M"),
        (5e15, "5000T"),
        (math.inf, "inf"),
    ],
)
def test_rates(value: float, text: str) -> None:
    assert rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (512, "512 B"), (4_213_000, "4.21 MB"), (48_000, "48 kB"), (2_000_000_000, "2 GB")]
)
def test_sizes(value: int, text: str) -> None:
    assert size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.0000452, "45 µs"),
        (0.0000996, "0.1 ms"),
        (0.000313, "0.31 ms"),
        (0.0009, "0.9 ms"),
        (0.0124, "12 ms"),
        (0.13, "130 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1:00"),
        (125.0, "2:05"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1.0, "0:00"), (0.4, "0:00"), (59.6, "1:00"), (725.0, "12:05"), (3725.0, "1:02:05"), (math.inf, "?")],
)
def test_clocks(seconds: float, text: str) -> None:
    assert clock(seconds) == text
