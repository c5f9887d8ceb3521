"""``--param``: values typed as the config's vars are."""

import pytest

from penstock.errors import ConfigError, PenstockError
from penstock.pipelines.config import load
from penstock.pipelines.deploying.parameters import parse_parameters
from tests.pipelines.deploying.conftest import STEPS, TOP


@pytest.fixture
def loaded(project):
    return load(project.pipeline(STEPS, top=TOP), environ={})


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("epochs=5", {"epochs": 5}),
        ("rate=1", {"rate": 1}),
        ("rate=1.5e-3", {"rate": 0.0015}),
        ("note=5", {"note": "5"}),
        ("note=true", {"note": "true"}),
        ("note=a=b: [c", {"note": "a=b: [c"}),
        ("note=", {"note": ""}),
        ("big=true", {"big": True}),
        ("layers=[16, 8, 4]", {"layers": [16, 8, 4]}),
        ("options={a: 2, b: [x]}", {"options": {"a": 2, "b": ["x"]}}),
    ],
)
def test_a_value_of_the_variables_type(loaded, given, value):
    assert parse_parameters(loaded, [given]) == value


def test_the_last_of_a_name_wins(loaded):
    assert parse_parameters(loaded, ["epochs=5", "rate=0.1", "epochs=6"]) == {"epochs": 6, "rate": 0.1}


@pytest.mark.parametrize(
    ("given", "expected", "received"),
    [
        ("epochs=five", "an integer", "the text 'five'"),
        ("epochs=1.5", "an integer", "the number 1.5"),
        ("epochs=true", "an integer", "true"),
        ("epochs=", "an integer", "nothing"),
        ("rate=fast", "a number", "the text 'fast'"),
        ("big=1", "true or false", "the integer 1"),
        ("layers=8", "a list", "the integer 8"),
        ("layers=[8", "a list", "the text '[8'"),
        ("options=[a]", "a mapping", "a list"),
    ],
)
def test_a_value_of_another_type_points_at_the_config(loaded, given, expected, received):
    with pytest.raises(ConfigError) as raised:
        parse_parameters(loaded, [given])
    name = given.partition("=")[0]
    text = str(raised.value)
    assert text.startswith("p.yaml:3:")
    assert f"--param {name}: expected {expected}, as it is here, received {received}\n" in text
    assert "    3 | vars: {epochs: 2" in text
    assert raised.value.exit_code == 2


def test_all_wrong_values_are_told_at_once(loaded):
    with pytest.raises(ConfigError) as raised:
        parse_parameters(loaded, ["epochs=five", "rate=fast"])
    assert "--param epochs: " in str(raised.value)
    assert "--param rate: " in str(raised.value)


def test_a_name_that_is_no_variable(loaded):
    with pytest.raises(ConfigError) as raised:
        parse_parameters(loaded, ["epoch=5"])
    assert str(raised.value) == (
        "--param epoch: the pipeline has no parameter of that name\n"
        "  expected: one of epochs, rate, note, layers, big, options\n"
        "  next: did you mean 'epochs'?"
    )


@pytest.mark.parametrize("given", ["epochs", "=5", ""])
def test_an_argument_that_is_no_parameter(loaded, given):
    with pytest.raises(ConfigError, match=r"a parameter needs '=' and a value"):
        parse_parameters(loaded, [given])


def test_a_value_from_the_environment_is_not_shown(project):
    top = TOP.replace("epochs: 2", 'epochs: "${env.N}"')
    loaded = load(project.pipeline(STEPS, top=top), environ={"N": "98765"})
    with pytest.raises(ConfigError) as raised:
        parse_parameters(loaded, ["epochs=five"])
    assert "98765" not in str(raised.value)


def test_a_variable_that_is_compiled_in(desk):
    error = desk.refused("--param", "rate=0.25")
    assert isinstance(error, PenstockError)
    assert error.exit_code == 2
    assert "the compiled pipeline has no parameter 'rate'" in str(error)


def test_a_wrong_value_is_told_before_the_server_is_asked(desk):
    assert desk.refused("--param", "epochs=five").exit_code == 2
    assert not desk.server.asked
