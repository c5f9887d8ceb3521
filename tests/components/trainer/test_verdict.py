from __future__ import annotations

from typing import Any

import pytest

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.verdict import DataFacts, Shares, StepTimes, Verdict, judge, shares_of

FACTS = DataFacts(files=8, passes=1)
MIRRORED = {"name": "mirrored", "cross_device_ops": "reduction_to_one"}


def times(waiting: float | None, all_reduce: float | None = None, **changes: Any) -> StepTimes:
    """A hundred steps in ten seconds."""
    return StepTimes(**{"steps": 100, "seconds": 10.0, "waiting": waiting, "all_reduce": all_reduce, **changes})


def verdict(
    step_times: StepTimes, data: DataFacts = FACTS, measured: dict[str, float] | None = None, **config: Any
) -> Verdict:
    return judge(
        step_times, TrainerConfig.model_validate({"model_fn": "a.build", "label": "y", **config}), data, measured
    )


@pytest.mark.parametrize(
    ("step_times", "shares"),
    [
        (times(7.1, 0.01), Shares(0.71, 0.19, 0.1)),
        (times(None), Shares(None, 1.0, None)),
        (times(2.5), Shares(0.25, 0.75, None)),
        (times(None, 0.025), Shares(None, 0.75, 0.25)),
        # Measured alone, an exchange may take longer than what is left of the step.
        (times(7.5, 0.9), Shares(0.75, 0.0, 0.25)),
        (times(11.0, 0.9), Shares(1.0, 0.0, 0.0)),
        (times(-0.1, -0.1), Shares(0.0, 1.0, 0.0)),
    ],
)
def test_shares_sum_to_one(step_times: StepTimes, shares: Shares) -> None:
    found = shares_of(step_times)
    assert (found.input, found.synchronise) == (
        pytest.approx(shares.input) if shares.input is not None else None,
        pytest.approx(shares.synchronise) if shares.synchronise is not None else None,
    )
    assert found.compute == pytest.approx(shares.compute)
    assert (found.input or 0) + found.compute + (found.synchronise or 0) == pytest.approx(1)


@pytest.mark.parametrize(
    ("waiting", "all_reduce", "name"),
    [
        (10.0, None, "input-bound"),
        (3.4, None, "input-bound"),
        (3.2, None, "balanced"),
        (2.6, None, "balanced"),
        (2.4, None, "compute-bound"),
        (0.0, 0.0, "compute-bound"),
        (None, None, "compute-bound"),
        (0.0, 0.034, "synchronisation-bound"),
        (0.0, 0.032, "balanced"),
        (3.5, 0.04, "synchronisation-bound"),
        (4.0, 0.035, "input-bound"),
        (2.0, 0.02, "balanced"),
    ],
)
def test_the_larger_part_of_a_third_is_to_blame(waiting: float, all_reduce: float, name: str) -> None:
    assert verdict(times(waiting, all_reduce)).name == name


def test_a_training_too_short_to_tell() -> None:
    assert verdict(StepTimes(steps=0, seconds=0.0, waiting=0.0)) == Verdict(
        "not measured", "not measured: training ended before its steps ran at their usual speed", None
    )


def line(*args: Any, **kwargs: Any) -> str:
    return verdict(*args, **kwargs).line


def test_input_bound_with_one_reader() -> None:
    assert line(times(7.1), input={"parallel_reads": 1}) == (
        "input-bound: 71 % of step time is waiting for data; "
        "input.parallel_reads 1 → auto reads 8 files at the same time"
    )


def test_a_measured_alternative_is_told_with_its_gain() -> None:
    measured = {"now": 1000.0, "input.cache: memory": 1200.0, "input.parallel_reads 1 → auto": 2310.0}
    assert line(times(7.1), measured=measured, input={"parallel_reads": 1}) == (
        "input-bound: 71 % of step time is waiting for data; "
        "input.parallel_reads 1 → auto gives 2.3 times the examples/s out of the input (measured)"
    )


def test_what_was_measured_to_be_useless_is_not_advised() -> None:
    measured = {"now": 1000.0, "input.cache: memory": 1010.0, "input.parallel_reads 1 → auto": 900.0}
    assert line(
        times(7.1), DataFacts(files=8, passes=5), measured, input={"parallel_reads": 1, "prefetch": 1}
    ).endswith("; input.prefetch 1 → auto prepares as many batches ahead as it takes")


@pytest.mark.parametrize("measured", [{}, {"now": 10.0}, {"now": 0.0, "input.prefetch: auto": 5.0}])
def test_without_an_alternative_no_number_is_claimed(measured: dict[str, float]) -> None:
    assert "times" not in line(times(7.1), measured=measured)


def test_a_faster_input_is_no_advice_where_input_is_not_to_blame() -> None:
    measured = {"now": 1000.0, "input.cache: memory": 9000.0}
    assert line(times(0.1), measured=measured).endswith("would help")
    measured["precision: mixed_bfloat16"] = 1500.0
    assert line(times(0.1), measured=measured) == (
        "compute-bound: 99 % of step time is computing; "
        "precision: mixed_bfloat16 gives 1.5 times the examples/s (measured)"
    )


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        (
            DataFacts(files=8, passes=5, cache_bytes=48_000_000, free_memory=10**9),
            "input.cache: memory keeps the rows (48 MB); later passes read no file",
        ),
        (
            DataFacts(files=8, passes=5, cache_bytes=48_000_000),
            "input.cache: memory keeps the rows (48 MB), if they fit; later passes read no file",
        ),
        (
            DataFacts(files=8, passes=5),
            "input.cache: memory keeps the rows, if they fit; later passes read no file",
        ),
        (
            DataFacts(files=8, passes=5, cache_bytes=600_000_000, free_memory=10**9),
            "smaller or fewer features, or more processor cores to prepare them, would help",
        ),
        (DataFacts(files=1, passes=1), "more files than 1 could be read at the same time"),
    ],
)
def test_input_bound_by_what_is_known_of_the_data(data: DataFacts, advice: str) -> None:
    assert line(times(5.0), data) == f"input-bound: 50 % of step time is waiting for data; {advice}"


def test_files_do_not_matter_once_the_rows_are_in_memory() -> None:
    options = {"cache": "memory", "parallel_reads": 1, "prefetch": 1}
    assert line(times(5.0), DataFacts(files=1, passes=5), input=options) == (
        "input-bound: 50 % of step time is waiting for data; "
        "input.prefetch 1 → auto prepares as many batches ahead as it takes"
    )


def test_the_users_own_dataset() -> None:
    assert line(times(5.0), dataset_fn="digits.data.rows") == (
        "input-bound: 50 % of step time is waiting for data; "
        "digits.data.rows makes the rows: let it map with num_parallel_calls, many rows at once"
    )


def test_synchronisation_bound() -> None:
    strategy = {"name": "multi_worker_mirrored", "workers": 2}
    found = line(times(0.5, 0.062, bytes_per_all_reduce=4_200_000), strategy=strategy, batch_size=32)
    assert found == (
        "synchronisation-bound: 62 % of step time is summing 4.2 MB of gradients over the replicas (62 ms a step); "
        "a larger batch_size (now 32 a replica) exchanges them less often for the same rows"
    )
    measured = {"now": 1000.0, "batch_size 32 → 64": 990.0}
    assert line(times(0.5, 0.062), measured=measured, strategy=strategy) == (
        "synchronisation-bound: 62 % of step time is summing gradients over the replicas (62 ms a step); "
        "fewer workers would have less to exchange"
    )


def test_gradients_that_meet_on_one_device() -> None:
    assert line(times(0.5, 0.062), strategy=MIRRORED).endswith(
        "; strategy.cross_device_ops reduction_to_one → auto does not bring all gradients to one device"
    )
    measured = {"now": 1.0, "strategy.cross_device_ops: auto": 1.0, "batch_size 64 → 128": 1.0}
    assert line(times(0.5, 0.062), measured=measured, strategy=MIRRORED).endswith(
        "; fewer replicas would have less to exchange"
    )


def test_compute_bound() -> None:
    assert line(times(0.3)) == (
        "compute-bound: 97 % of step time is computing; "
        "data and gradients keep up; a faster device, more replicas or a smaller model would help"
    )
    assert line(times(None)).startswith(
        "compute-bound: 100 % of step time is computing (waiting for data was not measured); "
    )


def test_short_calls_into_tensorflow() -> None:
    short = StepTimes(steps=10_000, seconds=10.0, waiting=0.1)
    assert line(short, steps_per_execution=1).endswith("; steps_per_execution 1 → auto enters TensorFlow less often")
    assert line(short, steps_per_execution=100).endswith("would help")
    assert line(short).endswith("would help")


def test_balanced() -> None:
    assert line(times(2.2, 0.018)) == (
        "balanced: 60 % of step time is computing, 22 % waiting for data, 18 % summing gradients; "
        "no single part holds training back"
    )
    assert line(times(3.0)).startswith("balanced: 70 % of step time is computing, 30 % waiting for data; ")
    assert line(times(None, 0.03)).startswith("balanced: 70 % of step time is computing, 30 % summing gradients; ")
