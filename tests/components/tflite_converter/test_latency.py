"""Calls are timed in turn."""

from penstock.components.tflite_converter.latency import FEWEST, time_in_turn
from penstock.components.tflite_converter.result import Latency


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def call(self, name, seconds, calls):
        def run():
            calls.append(name)
            self.now += seconds

        return run


def test_every_round_has_one_of_each():
    clock = Clock()
    calls: list[str] = []
    timed = {name: clock.call(name, seconds, calls) for name, seconds in (("slow", 0.002), ("fast", 0.001))}
    found = time_in_turn(timed, warm_up=1, runs=10, seconds=60, clock=clock)
    assert calls == ["slow", "fast"] * 11
    assert {name: (round(each.p50), round(each.p90), each.runs) for name, each in found.items()} == {
        "slow": (2000, 2000, 10),
        "fast": (1000, 1000, 10),
    }


def test_warm_up_is_not_timed():
    clock = Clock()
    seconds = iter([5.0] + [0.001] * 9 + [0.01])

    def call():
        clock.now += next(seconds)

    found = time_in_turn({"a": call}, warm_up=1, runs=10, seconds=60, clock=clock)
    assert round(found["a"].p50) == 1000
    assert round(found["a"].p90) == 1900


def test_slow_models_are_timed_a_few_times():
    clock = Clock()
    found = time_in_turn({"a": clock.call("a", 100.0, [])}, warm_up=0, runs=50, seconds=1, clock=clock)
    assert found == {"a": Latency(1e8, 1e8, FEWEST)}
