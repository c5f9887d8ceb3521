from __future__ import annotations

import pytest

from penstock.serving.inference.pace import FAST_SECONDS, Kind, Pace

CALL = Kind("m", 1, "serving_default", "Predict")


def test_the_first_call_of_a_kind_is_not_expected_to_be_fast() -> None:
    pace = Pace()
    assert not pace.is_fast(CALL)
    pace.record(CALL, FAST_SECONDS / 2)
    assert pace.is_fast(CALL)


@pytest.mark.parametrize(
    "other",
    [
        CALL._replace(model="other"),
        CALL._replace(version=2),
        CALL._replace(signature="other"),
        CALL._replace(api="Classify"),
    ],
)
def test_what_is_known_of_one_kind_says_nothing_of_another(other: Kind) -> None:
    pace = Pace()
    pace.record(CALL, FAST_SECONDS / 2)
    pace.record(other, FAST_SECONDS * 2)
    assert pace.is_fast(CALL)
    assert not pace.is_fast(other)


def test_a_slow_call_is_remembered_and_forgotten() -> None:
    pace = Pace()
    pace.record(CALL, FAST_SECONDS * 3)
    for fast in (False, True):
        assert not pace.is_fast(CALL)
        pace.record(CALL, 0.0)
        assert pace.is_fast(CALL) == fast
