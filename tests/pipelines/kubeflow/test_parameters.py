"""Runtime parameters and the places that they fill. Light: imports no TFX."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.pipelines.config import load
from penstock.pipelines.kubeflow.bindings import Binding, fill
from penstock.pipelines.kubeflow.parameters import Parameter, check_values, type_of
from penstock.pipelines.kubeflow.step_spec import InputSpec, StepSpec
from penstock.pipelines.kubeflow.uses import parameters, uses

EPOCHS = Parameter("epochs", "NUMBER_INTEGER", 5)
RATE = Parameter("rate", "NUMBER_DOUBLE", 0.1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, "BOOLEAN"),
        (5, "NUMBER_INTEGER"),
        (0.5, "NUMBER_DOUBLE"),
        ("x", "STRING"),
        ([1], "LIST"),
        ({}, "STRUCT"),
        (None, None),
        (float("nan"), None),
    ],
)
def test_types(value, expected):
    assert type_of(value) == expected


def test_numbers_come_back_as_what_they_were():
    checked = check_values([EPOCHS, RATE], {"epochs": 2.0, "rate": 1})
    assert (checked, type(checked["epochs"]), type(checked["rate"])) == ({"epochs": 2, "rate": 1.0}, int, float)


@pytest.mark.parametrize(
    ("value", "received"), [("2", "the text '2'"), (2.5, "the number 2.5"), (True, "true"), ([2], "a list")]
)
def test_a_value_of_another_type_is_refused(value, received):
    with pytest.raises(ConfigError) as raised:
        check_values([EPOCHS], {"epochs": value})
    assert str(raised.value) == (
        f"parameter 'epochs' is an integer\n  received: {received}\n  expected: an integer, such as 5"
    )


def test_an_unknown_parameter_is_refused_with_the_closest_name():
    with pytest.raises(ConfigError) as raised:
        check_values([EPOCHS, RATE], {"epoch": 2})
    assert str(raised.value) == (
        "the compiled pipeline has no parameter 'epoch'\n"
        "  expected: one of epochs, rate\n"
        "  next: did you mean 'epochs'?"
    )
    with pytest.raises(ConfigError, match="expected: none: no part of it can be set at run time"):
        check_values([], {"epoch": 2})


def test_values_reach_texts_that_hold_json_in_json():
    properties = {"config": json.dumps({"a": [{"b": 1}], "c": json.dumps({"d": 2})}), "plain": "x"}
    bindings = [
        Binding("config", ("a", 0, "b"), (("epochs",),)),
        Binding("config", ("c", "d"), (("lists", "inner", "1"),)),
        Binding("plain", (), ("gs://", ("name",), "/x-", ("flag",))),
        Binding("new", (), (("epochs",),)),
    ]
    values = {"epochs": 7, "lists": {"inner": [3, 4]}, "name": "bucket", "flag": True}
    filled = fill(properties, bindings, values)
    config = json.loads(filled.pop("config"))
    assert (config["a"], json.loads(config["c"])) == ([{"b": 7}], {"d": 4})
    assert filled == {"plain": "gs://bucket/x-true", "new": 7}


@given(JSON, st.lists(st.text(min_size=1) | st.integers(0, 2), max_size=3))
def test_a_place_that_is_not_there_is_made_or_refused(data, path):
    binding = Binding("p", tuple(path), (("x",),))
    try:
        filled = fill({"p": json.dumps(data)}, [binding], {"x": 1})
    except (LookupError, ValueError):
        return
    assert filled["p"] == 1 if not path else isinstance(json.loads(filled["p"]), dict | list | int)


def test_a_step_travels_as_json_that_nothing_expands():
    step = StepSpec(
        step="trainer",
        executor="a.B",
        inputs={"examples": InputSpec("t.Examples", ("examples--0", "examples--1"))},
        outputs={"model": "t.Model"},
        beam=("--runner=DirectRunner", "--x=$(HOME){{$}}"),
        parameters=(EPOCHS,),
        bindings=(Binding("config", ("a", 0), ("$", ("epochs",))),),
        integers=("n",),
    )
    assert StepSpec.loads(step.dumps()) == step
    assert "$" not in step.dumps()


def document(project, text):
    return load(project.write("p.yaml", text), environ={"BUCKET": "b"}).document


def test_which_texts_name_which_variables(project):
    text = """
pipeline: p
root: gs://${env.BUCKET}/${vars.folder}
vars:
  folder: f
  epochs: 5
  place: ${vars.folder}/rows
  limits: {lower: 0.5}
  none: null
steps:
  a:
    component: X.y
    with:
      epochs: ${vars.epochs}
      base: gs://b/${vars.place}
      nested: [{lower: "${vars.limits.lower}"}]
      nothing: ${vars.none}
      mixed: ${env.BUCKET}-${vars.epochs}
  b: {component: X.y, with: {epochs: "${vars.epochs}"}}
"""
    found = {".".join(map(str, use.path)): use for use in uses(document(project, text), {"a": None})}
    assert {path: (use.parts, use.constant) for path, use in found.items()} == {
        "root": (("gs://", ("${}", "${env.BUCKET}"), "/", ("folder",)), "root shapes the pipeline"),
        "steps.a.with.epochs": ((("epochs",),), None),
        "steps.a.with.base": (("gs://b/", ("folder",), "/rows"), None),
        "steps.a.with.nested.0.lower": ((("limits", "lower"),), None),
        "steps.a.with.nothing": ((("none",),), "vars.none is null or not finite, and parameters have a type"),
        "steps.a.with.mixed": (
            (("${}", "${env.BUCKET}"), "-", ("epochs",)),
            "steps.a.with.mixed is also made of ${env.BUCKET}",
        ),
    }


def test_parameters_have_the_documents_order_types_and_values(project):
    text = "pipeline: p\nroot: r\nvars: {b: 1, a: [x], c: null}\nsteps: {s: {component: X.y}}\n"
    found = parameters(document(project, text), frozenset({"a", "b", "c"}))
    assert found == (Parameter("b", "NUMBER_INTEGER", 1), Parameter("a", "LIST", ["x"]))
