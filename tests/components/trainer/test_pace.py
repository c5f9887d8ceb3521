from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from penstock.components.trainer.options import Auto
from penstock.components.trainer.pace import Pace

Seconds = Callable[[int], float]
ENDLESS = 10**9


def device(step: float, call: float) -> Seconds:
    """A device on which a step takes ``step`` seconds, and each call ``call`` seconds more."""
    return lambda steps: call + steps * step


def drive(pace: Pace, seconds: Seconds, calls: int, *, allowed: int = ENDLESS) -> list[int]:
    taken = []
    for _ in range(calls):
        steps = pace.next(allowed)
        pace.measured(steps, seconds(steps))
        taken.append(steps)
    return taken


def test_a_fixed_number_is_used_as_it_is(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace(7)
    with caplog.at_level(logging.INFO):
        assert drive(pace, device(10.0, 10.0), 5) == [7] * 5
    assert pace.next(3) == 3
    assert pace.chosen == 7
    assert caplog.messages == []


def test_grows_until_a_call_takes_a_tenth_of_a_second(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    with caplog.at_level(logging.INFO):
        taken = drive(pace, device(0.0003, 0.0006), 100)
    assert taken == [1] * 3 + [10] * 2 + [100] * 2 + [500] * 93
    assert pace.chosen == 500
    assert caplog.messages == [
        "steps_per_execution: auto chose 500: 1 step takes 0.3 ms in a call of 500, 0.9 ms alone"
    ]


def test_a_heavy_step_is_taken_alone(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    with caplog.at_level(logging.INFO):
        assert drive(pace, device(0.13, 0.001), 10) == [1] * 10
    assert pace.chosen == 1
    assert caplog.messages == ["steps_per_execution: auto chose 1: 1 step takes 131 ms"]


def test_calls_that_trace_do_not_count() -> None:
    traced: set[int] = set()

    def seconds(steps: int) -> float:
        """Each number of steps costs five seconds when it is first seen."""
        cost = steps * 0.01 if steps in traced else 5.0
        traced.add(steps)
        return cost

    assert drive(Pace("auto"), seconds, 8) == [1] * 3 + [10] * 5


@pytest.mark.parametrize("option", ["auto", 50])
def test_never_more_than_allowed_and_never_less_than_one(option: int | Auto) -> None:
    pace = Pace(option)
    drive(pace, device(0.0001, 0.0), 50)
    assert [pace.next(allowed) for allowed in (49, 2, 1, 0)] == [49, 2, 1, 1]


def test_until_it_settles_it_claims_no_more_than_it_ran(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    assert pace.chosen == 1
    with caplog.at_level(logging.INFO):
        assert drive(pace, device(0.0003, 0.0006), 40, allowed=8)[3:] == [8] * 37
    assert pace.chosen == 8
    assert caplog.messages == []


def test_the_rests_of_epochs_do_not_unsettle_it() -> None:
    pace = Pace("auto")
    drive(pace, device(0.0003, 0.0006), 20)
    drive(pace, device(0.0003, 0.0006), 40, allowed=3)
    assert pace.chosen == 500
    assert pace.next(ENDLESS) == 500


def test_settles_between_two_numbers_that_look_equally_good(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    # In calls of 50 a step seems slow, in calls of 20 fast: each measurement asks for the other number.
    with caplog.at_level(logging.INFO):
        taken = drive(pace, lambda steps: steps * (0.005 if steps == 50 else 0.002), 60)
    assert len(set(taken[10:])) == 1
    assert len(caplog.messages) == 1


def test_one_slow_call_changes_nothing() -> None:
    pace = Pace("auto")
    drive(pace, device(0.01, 0.0), 10)
    pace.measured(pace.next(ENDLESS), 30.0)
    assert drive(pace, device(0.01, 0.0), 40) == [10] * 40


def test_a_lasting_change_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    with caplog.at_level(logging.INFO):
        assert drive(pace, device(0.05, 0.0), 20)[-1] == 2
        # From the second epoch on the rows come from memory.
        taken = drive(pace, device(0.001, 0.001), 60)
    assert taken[-1] == 100
    assert caplog.messages == [
        "steps_per_execution: auto chose 2: 1 step takes 50 ms in a call of 2, 50 ms alone",
        "steps_per_execution: auto chose 100: 1 step takes 1 ms in a call of 100",
    ]


def test_a_machine_that_keeps_changing_is_followed_less_and_less(caplog: pytest.LogCaptureFixture) -> None:
    pace = Pace("auto")
    with caplog.at_level(logging.INFO):
        for period in range(100):
            drive(pace, device(0.05 if period % 2 else 0.001, 0.0), 50)
    assert len(caplog.messages) == 7
