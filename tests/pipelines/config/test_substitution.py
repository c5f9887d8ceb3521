"""``${…}``: what it names, what it gives, and what is said when it cannot."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.pipelines.config.references import Reference, split
from penstock.pipelines.config.substitution import Substitution
from penstock.pipelines.config.tree import Places
from tests.pipelines.config.conftest import Project

SECRET = "hunter2-s3cret"


def _resolved(data: dict[str, Any], **environ: str) -> dict[str, Any]:
    substitution = Substitution(data, Places(), environ)
    resolved, _ = substitution.run()
    assert substitution.problems == []
    return resolved


def _x(variables: dict[str, Any], text: Any, **environ: str) -> Any:
    return _resolved({"pipeline": "p", "root": "r", "vars": variables, "x": text}, **environ)["x"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${vars.int}", 5),
        ("${ vars.int }", 5),
        ("${vars.text}", "5"),
        ("${vars.map}", {"a": [1, {"b": None}]}),
        ("${vars.map.a}", [1, {"b": None}]),
        ("${vars.map.a.0}", 1),
        ("${vars.alias.a.1.b}", None),
        ("${pipeline}/${root}", "p/r"),
        (
            "n=${vars.int} t=${vars.true} z=${vars.map.a.1.b} i=${vars.inf} f=${vars.float}",
            "n=5 t=true z=null i=.inf f=0.1",
        ),
        ("$${vars.int}", "${vars.int}"),
        ("$$${vars.int}", "$${vars.int}"),
        ("$$ $x {} }", "$$ $x {} }"),
        ("${env.SET}", 7),
        ("<${env.SET}>", "<07>"),
        ("${env.EMPTY}", None),
        ("<${env.EMPTY}>", "<>"),
        ("${env.EMPTY:x}", None),
        ("${env.UNSET:5}", 5),
        ("${env.UNSET:'5'}", "5"),
        ("${env.UNSET:}", None),
        ("${env.UNSET:a:b}", "a:b"),
        ("<${env.UNSET:05}>", "<05>"),
        (["${vars.int}", {"a": "${vars.int}"}], [5, {"a": 5}]),
    ],
)
def test_values(text: Any, value: Any) -> None:
    variables = {
        "int": 5,
        "text": "5",
        "true": True,
        "float": 0.1,
        "inf": math.inf,
        "map": {"a": [1, {"b": None}]},
        "alias": "${vars.map}",
    }
    found = _x(variables, text, SET="07", EMPTY="")
    assert found == value
    assert type(found) is type(value)


def test_vars_may_refer_to_vars_in_any_order_and_inside_one_mapping() -> None:
    assert _x({"m": {"a": "${vars.m.b}", "b": "${vars.z}"}, "z": "${env.N}"}, "${vars.m}", N="1.5") == {
        "a": 1.5,
        "b": 1.5,
    }


def test_copies_are_independent() -> None:
    data = _resolved({"vars": {"m": {"a": [1]}}, "x": "${vars.m}", "y": "${vars.m}"})
    data["x"]["a"].append(2)
    assert data["y"] == data["vars"]["m"] == {"a": [1]}


def test_extends_is_left_alone() -> None:
    assert _resolved({"extends": "$${x}"}) == {"extends": "$${x}"}


@given(st.text())
def test_text_with_escaped_references_comes_back(text: str) -> None:
    escaped = text.replace("${", "$${")
    assert _x({}, escaped) == text


@given(st.text(alphabet="${}a:. ", max_size=12).filter(lambda text: "${" not in text))
def test_text_without_references_is_left_alone(text: str) -> None:
    assert _x({}, text) == text


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(alphabet="abc $"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_a_whole_reference_gives_the_very_value(value: Any) -> None:
    found = _x({"v": value}, "${vars.v}")
    assert found == value
    assert type(found) is type(value)


@given(st.lists(st.text(alphabet="ab ", min_size=1) | st.just(Reference("${root}", "root", None)), max_size=5))
def test_splitting_loses_nothing(parts: list[str | Reference]) -> None:
    written = "".join(part if isinstance(part, str) else part.written for part in parts)
    assert "".join(part if isinstance(part, str) else part.written for part in split(written)) == written


def _only(project: Project, variables: str, text: str, **environ: str) -> Any:
    return project.only(
        f"{Project.HEAD}vars: {variables}\nsteps: {{t: {{component: T, with: {{x: {text}}}}}}}\n", environ=environ
    )


@pytest.mark.parametrize(
    ("variables", "text", "message", "hint"),
    [
        ("{epochs: 5}", "${vars.epoch}", "undefined name '${vars.epoch}'", "did you mean '${vars.epochs}'?"),
        ("{a: {b: 1}}", "${vars.a.c}", "undefined name '${vars.a.c}'", "did you mean '${vars.a.b}'?"),
        ("{a: [1]}", "${vars.a.1}", "undefined name '${vars.a.1}'", "did you mean '${vars.a}'?"),
        ("{a: 1}", "${zzzzzz}", "undefined name '${zzzzzz}'", "declare it under 'vars'"),
        ("{a: 1}", "${rot}/x", "undefined name '${rot}'", "did you mean '${root}'?"),
        ("{}", "${env.NONE}", "the environment variable NONE is not set", "set it, or give a default: '${env.NONE:…}'"),
        (
            "{}",
            "${env.1A}",
            "'${env.1A}' names no environment variable",
            "write '${env.NAME}' or '${env.NAME:default}'",
        ),
        ("{}", "'${root'", "'${' is not closed with '}'", "write '$${' for a literal '${'"),
        ("{}", "'${}'", "'${}' names nothing", "write '$${' for a literal '${'"),
        ("{}", "'${env.A:${root}}'", "a '${…}' cannot hold another", "use one of the 'vars' for the inner part"),
        (
            "{}",
            "${root:x}",
            "'${root}' takes no default",
            "defaults are for environment variables: '${env.NAME:default}'",
        ),
        ("{a: {}}", "'x ${vars.a}'", "'${vars.a}' is a mapping; inside a longer text it must be a scalar", None),
        ("{a: []}", "'x ${vars.a}'", "'${vars.a}' is a list; inside a longer text it must be a scalar", None),
        ("{a: ${vars.b}, b: ${vars.a}}", "1", "'${…}' goes round in a circle: vars.a -> vars.b -> vars.a", None),
        ("{a: {b: ${vars.a}}}", "1", "'${…}' goes round in a circle: vars.a -> vars.a.b -> vars.a", None),
        ("{a: 'x${vars.a}'}", "${vars.a}", "'${…}' goes round in a circle: vars.a -> vars.a", None),
    ],
)
def test_problems(project: Project, variables: str, text: str, message: str, hint: str | None) -> None:
    problem = _only(project, variables, text)
    assert problem.message == message
    assert problem.hint == hint


def test_an_undefined_name_lists_what_is_defined(project: Project) -> None:
    text = (
        Project.HEAD + "vars: {epochs: 5, model: {units: 8}}\nsteps: {t: {component: T, with: {x: a-${vars.epoch}}}}\n"
    )
    assert project.shown(text) == (
        "p.yaml:4:39: undefined name '${vars.epoch}'\n"
        "    4 | steps: {t: {component: T, with: {x: a-${vars.epoch}}}}\n"
        "      |                                       ^^^^^^^^^^^^^\n"
        "      expected: one of vars.epochs, vars.model, vars.model.units, pipeline, root, env.NAME\n"
        "      next: did you mean '${vars.epochs}'?"
    )


def test_a_value_that_cannot_be_resolved_is_reported_once(project: Project) -> None:
    text = (
        "pipeline: ${vars.a}\nroot: ${vars.b}\nvars: {a: ${vars.none}, b: 'x ${vars.a}'}\n"
        "steps: {t: {component: '${vars.a}'}}\n"
    )
    assert project.only(text).message == "undefined name '${vars.none}'"


def test_a_missing_root_is_reported_once(project: Project) -> None:
    assert project.only("pipeline: a\nsteps: {t: {component: '${root}'}}\n").message == "missing required key 'root'"
    assert (
        project.only("pipeline: a\nroot: {}\n" + Project.STEPS).message == "expected text, received a mapping at root"
    )


def _bomb(first: str, line: str) -> str:
    variables = "".join(f"  v{i}: {line.replace('V', '${vars.v' + str(i - 1) + '}')}\n" for i in range(1, 12))
    return f"{Project.HEAD}vars:\n  v0: {first}\n{variables}{Project.STEPS}"


def test_values_that_multiply_are_refused(project: Project) -> None:
    assert project.only(_bomb("[x, x]", f"[{', '.join(['V'] * 9)}]")).message == "'${…}' add more than 10,000 values"


def test_text_that_multiplies_is_refused(project: Project) -> None:
    assert project.only(_bomb("xxxxxxx", "V" * 9)).message == "'${…}' make more than 1,000,000 characters of text"


def test_a_long_chain_is_refused(project: Project) -> None:
    variables = "".join(f"  v{i}: ${{vars.v{i + 1}}}\n" for i in range(110)) + "  v110: 1\n"
    problem = project.only(f"{Project.HEAD}vars:\n{variables}{Project.STEPS}")
    assert problem.message == "too many '${…}' lead on to one another"


def test_values_that_nest_too_deep_are_refused(project: Project) -> None:
    variables = "  v0: [1]\n" + "".join(f"  v{i}: ['${{vars.v{i - 1}}}']\n" for i in range(1, 60))
    problem = project.only(f"{Project.HEAD}vars:\n{variables}{Project.STEPS}")
    assert problem.message == "'${…}' nest values more than 50 levels deep"


HIDDEN = "(from the environment variable TOKEN)"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("cache: ${env.TOKEN}", f"expected true or false, received text {HIDDEN} at cache"),
        ("cache: ${vars.deep.token}", f"expected true or false, received text {HIDDEN} at cache"),
        ("cache: a ${vars.deep.token} b", f"expected true or false, received text {HIDDEN} at cache"),
        ("metadata: ${vars.deep}", "unknown key 'token' in metadata"),
        (
            "beam: {runner: 5, options: {a: {b: '${env.TOKEN}'}}}",
            "expected text, received the integer 5 at beam.runner",
        ),
        ("beam: {options: '${env.TOKEN}'}", f"expected a mapping, received text {HIDDEN} at beam.options"),
    ],
)
def test_values_from_the_environment_are_never_shown(project: Project, line: str, message: str) -> None:
    text = f"{Project.HEAD}vars: {{deep: {{token: '${{env.TOKEN}}'}}}}\n{line}\n{Project.STEPS}"
    error = project.refused(text, environ={"TOKEN": SECRET})
    assert message in [problem.message for problem in error.problems]
    assert SECRET not in str(error) + str(error.to_dict()) + repr(error.problems)


def test_names_from_the_environment_are_never_shown(project: Project) -> None:
    text = (
        "pipeline: ${env.NAME}\nroot: ${env.N}\n"
        "steps: {t: {component: T, inputs: {a: '${env.NAME}'}, after: '${env.NAME}'}}\n"
    )
    error = project.refused(text, environ={"NAME": "Sesame-Open", "N": "4711"})
    assert len(error.problems) == 4
    assert "Sesame" not in str(error)
    assert "4711" not in str(error)
    assert "expected text, received an integer (from the environment variable N) at root" in str(error)


@given(st.text(min_size=4, max_size=20).filter(lambda text: "\0" not in text))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_from_the_environment_is_shown(project: Project, secret: str) -> None:
    secret = f"Q{secret}Q"
    text = f"{Project.HEAD}cache: ${{env.TOKEN}}\nsteps: {{t: {{component: T, inputs: {{a: '${{env.TOKEN}}'}}}}}}\n"
    assert secret not in str(project.refused(text, environ={"TOKEN": secret}))


def test_a_variable_that_is_no_text(project: Project) -> None:
    text = Project.HEAD + "vars: {a: '${env.BYTES}'}\n" + Project.STEPS
    problem = project.only(text, environ={"BYTES": "\udcff"})
    assert problem.message == "the environment variable BYTES is not UTF-8 text"
    assert problem.hint == "set it again, as UTF-8"
