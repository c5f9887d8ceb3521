"""The generated catalog is what the installed TFX says. Imports TFX."""

import json
from importlib.resources import files

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.catalog import ComponentType, load_components


@pytest.mark.parametrize("name", ["components.json", "protos.json", "metrics.json", "beam.json"])
def test_the_committed_catalog_is_up_to_date(name, rendered):
    committed = (files("penstock.pipelines.catalog") / name).read_text(encoding="utf-8")
    assert json.loads(committed) == json.loads(rendered[name]), "run: python -m penstock.pipelines.catalog.generate"


@pytest.fixture(scope="module")
def rendered():
    from penstock.pipelines.catalog.generate import render

    return render()


SCORE = """
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Examples, Model

@component
def score(
    model: InputArtifact[Model], rows: OutputArtifact[Examples], limit: Parameter[int], name: Parameter[str] = "x"
) -> None: ...
"""


def test_a_component_that_fails_when_it_is_imported(project, monkeypatch):
    from penstock.pipelines.build import import_and_describe

    project.write("failing_parts.py", "def check():\n    raise LookupError('no such thing')\n\ncheck()\n")
    project.write("other_parts.py", "score = 3\n")
    monkeypatch.syspath_prepend(str(project.folder))
    with pytest.raises(ConfigError, match="importing 'failing_parts' raised LookupError: no such thing") as caught:
        import_and_describe("failing_parts.score")
    assert caught.value.received == "failing_parts.py:2 in check"
    with pytest.raises(ConfigError, match="module 'other_parts' has no attribute 'scor'") as caught:
        import_and_describe("other_parts.scor")
    assert caught.value.hint == "did you mean 'score'?"


def test_a_functions_ports_and_parameters_are_described(project, monkeypatch):
    from penstock.pipelines.build import import_and_describe

    project.write("catalog_parts.py", SCORE)
    monkeypatch.syspath_prepend(str(project.folder))
    described = import_and_describe("catalog_parts.score")
    assert {key: port.type for key, port in described.inputs.items()} == {"model": "Model"}
    assert {key: port.type for key, port in described.outputs.items()} == {"rows": "Examples"}
    kinds = {key: (str(parameter.type), parameter.required) for key, parameter in described.parameters.items()}
    assert kinds == {"limit": ("an integer", True), "name": ("a text", False)}


@pytest.mark.parametrize("target", [dict, print, 3])
def test_what_is_no_component_is_refused(target):
    from penstock.pipelines.introspect import describe

    with pytest.raises(ConfigError, match=r"'parts\.x' is not a component") as raised:
        describe(target, name="parts.x", import_path="parts.x")
    assert "@component" in str(raised.value.expected)


def test_hints_fit_the_components():
    components = load_components()
    assert components["Evaluator"].inputs["baseline_model"].wiring == "resolved"
    assert components["Evaluator"].inputs["model"].optional is False
    assert components["Trainer"].inputs["transformed_examples"].wiring == "same_key"
    assert components["Transform"].one_of == (("module_file", "preprocessing_fn"),)
    assert components["CsvExampleGen"].parameters["input_base"].required
    assert components["Pusher"].config_model == "penstock.components.pusher.config:PusherConfig"
    assert components["StatisticsGen"].beam
    assert not components["Pusher"].beam


def test_a_component_says_that_it_is_not_deterministic(project, monkeypatch):
    from penstock.pipelines.build import import_and_describe

    project.write("drawn_parts.py", SCORE.replace("score", "draw") + "\ndraw.DETERMINISTIC = False\n" + SCORE)
    monkeypatch.syspath_prepend(str(project.folder))
    assert not import_and_describe("drawn_parts.draw").deterministic
    assert import_and_describe("drawn_parts.score").deterministic


def test_what_is_not_deterministic_is_written_into_the_catalog():
    drawn = ComponentType("draw", "parts.draw", deterministic=False)
    assert ComponentType.from_json("draw", drawn.to_json()) == drawn
    assert "deterministic" not in load_components()["Pusher"].to_json()
