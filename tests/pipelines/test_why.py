"""Why a step would run or is cached, in words. What TFX itself decides is asked in tests/e2e."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.errors import ConfigError
from penstock.metadata.reader import Reader
from penstock.metadata.reasons import Change
from penstock.pipelines.catalog import ComponentType
from penstock.pipelines.cli.why import explained
from penstock.pipelines.graph import Graph, Step, Wire
from penstock.pipelines.plan import PlannedStep
from penstock.pipelines.why import Explanation, _Explainer
from tests.metadata.history import History
from tests.pipelines.models.command import invoke


def step(name: str, *upstream: str) -> Step:
    inputs = {other: (Wire(other, "out"),) for other in upstream}
    return Step(name, ComponentType(name=name.title(), import_path=f"x.{name}"), inputs=inputs)


@dataclass
class Dry:
    """What a dry run has found out."""

    prepared: dict[str, Any] = field(default_factory=dict)
    lost: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def explainer(tmp_path):
    """A diamond: data → left, right → end; the store has one run of it, in which each step had parameter x=1."""
    history = History(tmp_path / "m.sqlite", "p")
    (data,) = history.step("run-1", "data", {"out": ("Examples", {"uri": str(tmp_path)})}, x=1)
    ids = {"data": data}
    for name in ("left", "right"):
        (ids[name],) = history.step(
            "run-1", name, {"out": ("Model", {"uri": str(tmp_path / name)})}, {"data": [data]}, x=1
        )

    def make(cached: dict[str, bool], x: int = 1) -> _Explainer:
        steps = {one.name: one for one in (step("data"), step("left", "data"), step("right", "data"))}
        steps["end"] = step("end", "left", "right")
        graph = Graph("p", str(tmp_path), str(history.file), tmp_path, (), steps)
        plan = {name: PlannedStep(name, one.type.name, {}, cached[name], "as planned") for name, one in steps.items()}
        dry = Dry()
        for name in steps:
            inputs = {} if name == "data" else {"data": [SimpleNamespace(id=data)]}
            dry.prepared[name] = SimpleNamespace(input_dict=inputs, exec_properties={"x": x}, output_dict={})
        return _Explainer(graph, plan, dry, Reader(history.file, "p"))  # type: ignore[arg-type]

    make.history, make.ids = history, ids  # type: ignore[attr-defined]
    return make


ALL = dict.fromkeys(("data", "left", "right", "end"), True)


def test_a_changed_parameter(explainer):
    found = explainer(ALL | {"left": False, "end": False}, x=2).explain("left")
    assert (found.cached, found.run, found.execution) == (False, "run-1", 2)
    assert found.changes[0] == Change("parameter", "x", 1, 2)


def test_a_step_that_was_cached_last_is_compared_with_where_that_came_from(explainer):
    history = explainer.history
    history.step("run-2", "left", {"out": explainer.ids["left"]}, state="CACHED")
    found = explainer(ALL | {"left": False, "end": False}, x=2).explain("left")
    assert (found.run, found.changes) == ("run-1", (Change("parameter", "x", 1, 2),))


def test_a_step_waits_for_the_steps_above_that_run_for_a_reason_of_their_own(explainer):
    found = explainer(dict.fromkeys(ALL, False), x=2).explain("end")
    assert (found.cached, found.reason, [one.step for one in found.because]) == (False, "as planned", ["data"])
    found = explainer(ALL | {"left": False, "right": False, "end": False}, x=2).explain("end")
    assert [one.step for one in found.because] == ["left", "right"]


def test_outputs_that_are_gone(explainer, tmp_path):
    found = explainer(ALL | {"left": False}).explain("left")
    assert found.gone == (str(tmp_path / "left"),)
    (tmp_path / "left").mkdir()
    found = explainer(ALL | {"left": False}).explain("left")
    assert (found.gone, found.changes) == ((), ())
    assert found.reason.startswith("nothing that is recorded changed")


def test_a_step_that_has_not_run_before(explainer):
    found = explainer(ALL | {"end": False}).explain("end")
    assert (found.reason, found.run) == ("it has not run before", "")


def test_a_cached_step_names_the_run_whose_result_it_takes(explainer):
    made = explainer(ALL)
    made._prepared["left"].output_dict["out"] = [SimpleNamespace(id=explainer.ids["left"])]
    found = made.explain("left")
    assert (found.cached, found.run, found.execution) == (True, "run-1", 2)
    assert found.reason == "the same inputs (data) and parameters as in run run-1"


def test_before_the_first_run_there_is_no_store(explainer):
    made = explainer(dict.fromkeys(ALL, False))
    made._reader = None
    assert made.explain("data").reason == "as planned"


def test_a_step_whose_inputs_are_not_known_yet_is_told_as_planned(explainer):
    made = explainer(ALL | {"left": False})
    del made._prepared["left"]
    assert made.explain("left").reason == "as planned"


def test_in_words():
    root = Explanation(
        "trainer",
        "Trainer",
        cached=False,
        reason="it changed since then",
        run="r1",
        changes=(Change("parameter", "epochs", 5, 8), Change("code", "model", "a" * 64, None)),
        gone=("/x",),
    )
    waiting = Explanation("evaluator", "Evaluator", cached=False, reason="trainer would run", because=(root,))
    assert explained(waiting) == [
        "evaluator (Evaluator) would run: trainer would run",
        "  trainer (Trainer) would run: changed since run r1",
        "    parameter  epochs  5             →  8",
        "    code       model   aaaaaaaaaaaa  →  not there",
        "    gone  /x",
    ]
    gone = Explanation("a", "A", cached=False, reason="", run="r1", gone=("/x",))
    assert explained(gone) == ["a (A) would run: what it gave in run r1 is no longer there", "  gone  /x"]
    assert explained(Explanation("a", "A", cached=True, reason="the same inputs (x) as in run r")) == [
        "a (A) is cached: the same inputs (x) as in run r"
    ]


def test_a_step_that_is_not_there(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    file = project.pipeline("  examples: {component: CsvExampleGen, with: {input_base: data}}\n")
    answer = invoke("why", file, "exampels")
    assert isinstance(answer.exception, ConfigError)
    assert str(answer.exception) == (
        "no step 'exampels'\n  received: exampels\n  expected: one of examples\n  next: did you mean 'examples'?"
    )
