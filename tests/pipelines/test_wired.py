"""The nearest of several outputs."""

from hypothesis import given
from hypothesis import strategies as st

from penstock.pipelines.catalog import ComponentType, Port
from penstock.pipelines.graph import Step, Wire
from penstock.pipelines.wired import Wired


def step(name, after, kind="T"):
    return Step(name, ComponentType("c", "c.C"), outputs={"out": Port(kind)}, after=tuple(after))


def ancestors(name, steps):
    found: set[str] = set()
    pending = [name]
    while pending:
        new = steps[pending.pop()].upstream & steps.keys() - found
        found |= new
        pending += new
    return found


@given(st.data(), st.integers(1, 9))
def test_all_others_flow_into_the_nearest(data, count):
    """Steps may wait for any other, also for one that is declared later, or for themselves in a circle of none."""
    names = [f"s{number}" for number in range(count)]
    order = data.draw(st.permutations(names))
    steps, wired = {}, Wired()
    for index, name in enumerate(order):
        below = [other for other in names if names.index(other) < names.index(name)]
        steps[name] = step(name, data.draw(st.lists(st.sampled_from(below), unique=True)) if below else ())
        wired.add(steps[name])
        candidates = [Wire(other, "out") for other in data.draw(st.permutations(order[: index + 1]))]
        expected = [
            wire for wire in candidates if {w.step for w in candidates} - {wire.step} <= ancestors(wire.step, steps)
        ]
        assert wired.nearest(candidates) == (expected[0] if expected else None)


def test_outputs_of_a_type_in_the_order_of_the_steps():
    wired = Wired()
    for name, kind in (("a", "T"), ("b", "U"), ("c", "T")):
        wired.add(step(name, (), kind))
    assert wired.outputs("T") == [Wire("a", "out"), Wire("c", "out")]
    assert wired.outputs("V") == []
    assert wired.nearest([]) is None
    assert wired.nearest(wired.outputs("T")) is None
