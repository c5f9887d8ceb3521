"""Which flatbuffers are within tolerance."""

import pytest

from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.gate import judge
from penstock.components.tflite_converter.result import Comparison, Latency, Timing
from tests.components.tflite_converter.made import figures, inspection, op


def verdict(mode, found, *, float_inputs=True, **config):
    return judge(mode, found, TFLiteConverterConfig.model_validate(config), float_inputs=float_inputs)


def test_without_limits_what_is_right_is_blessed():
    found = verdict("int8", figures(), gate={"metric": "accuracy"})
    assert found.blessed
    assert found.reason == (
        "within tolerance: 200 kB, accuracy 0.00278 worse, outputs off by 0.0378 at most, "
        "0.04 of the SavedModel's latency"
    )


@pytest.mark.parametrize(
    ("drop", "words"), [(0.0, "accuracy the same"), (-0.01, "accuracy 0.01 better"), (0.01, "accuracy 0.01 worse")]
)
def test_a_drop_in_words(drop, words):
    assert words in verdict("int8", figures(drop=drop), gate={"metric": "accuracy"}).reason


@pytest.mark.parametrize(
    ("gate", "reason"),
    [
        ({"max_size": "199kB"}, "200 kB, and at most 199 kB is allowed"),
        ({"max_size": {"int8": 1000}}, "200 kB, and at most 1 kB is allowed"),
        ({"metric": "accuracy", "max_drop": 0.002}, "accuracy is 0.00278 worse, and at most 0.002 is allowed"),
        ({"max_abs_error": 0.01}, "an output is off by 0.0378, and at most 0.01 is allowed"),
        (
            {"max_latency_ratio": 0.03},
            "a call takes 0.04 times as long as the SavedModel's (15 µs, 1 thread), and at most 0.03 is allowed",
        ),
        (
            {"max_size": "1kB", "max_abs_error": 0.01},
            "200 kB, and at most 1 kB is allowed; an output is off by 0.0378, and at most 0.01 is allowed",
        ),
    ],
)
def test_each_limit_has_its_reason_and_number(gate, reason):
    found = verdict("int8", figures(), gate=gate)
    assert (found.blessed, found.reason) == (False, reason)


def test_limits_themselves_are_within_tolerance():
    gate = {
        "metric": "accuracy",
        "max_drop": 0.00278,
        "max_size": 200_000,
        "max_abs_error": 0.0378,
        "max_latency_ratio": 0.04,
    }
    assert verdict("int8", figures(), gate=gate).blessed


def test_limits_of_other_modes_do_not_count():
    assert verdict("int8", figures(), gate={"max_size": {"float32": "1kB"}}).blessed


def test_not_a_number_is_outside_every_tolerance():
    found = figures(drop=float("nan"), comparison=Comparison(float("inf"), float("inf"), None, None))
    gate = {"metric": "accuracy", "max_drop": 1.0, "max_abs_error": 1e9}
    assert verdict("int8", found, gate=gate).reason == (
        "accuracy is nan worse, and at most 1 is allowed; an output is off by inf, and at most 1e+09 is allowed"
    )


def test_the_first_thread_count_is_the_one_that_counts():
    timings = (Timing(2, Latency(10.0, 11.0, 5), 0.5), Timing(1, Latency(100.0, 110.0, 5), 5.0))
    assert verdict("int8", figures(timings=timings), gate={"max_latency_ratio": 1.0}).blessed


FLOAT_OPS = (op("CAST", "float32", "scale/Cast"), op("CAST", "float32", "scale/Cast"), op("ADD", "float32", ""))


def test_an_integer_model_with_float_ops_is_none():
    found = figures(inspection=inspection(ops=FLOAT_OPS))
    reason = "3 float ops left: CAST (scale/Cast), ADD"
    assert verdict("int8", found).reason == reason
    assert verdict("int16x8", found, io={"int16x8": "float32"}).reason.startswith(reason)
    assert verdict("int8", found, batch="dynamic").reason == f"{reason}; a fixed `batch` may have none"
    assert verdict("int8", found, allow_float_ops=True).blessed
    assert verdict("dynamic_range", found).blessed


def test_many_float_ops_are_counted():
    ops = tuple(op("ADD", "float32", f"layer_{number}") for number in range(5))
    assert verdict("int8", figures(inspection=inspection(ops=ops))).reason == (
        "5 float ops left: ADD (layer_0), ADD (layer_1), ADD (layer_2), and 2 more"
    )


def test_inputs_and_outputs_are_of_the_type_that_was_asked_for():
    found = figures(inspection=inspection(io="float32", ops=(op("CONV_2D", "int8"),)))
    assert verdict("int8", found).reason == "x of predict is float32, not int8; y of predict is float32, not int8"
    assert verdict("int8", found, float_inputs=False).reason == "y of predict is float32, not int8"
    assert verdict("int8", found, io={"int8": "float32"}).blessed
