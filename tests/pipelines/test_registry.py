"""Component names and import paths."""

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.catalog import ComponentType
from penstock.pipelines.registry import Registry, built_in

CODE = """
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model as Imported

@component
def declared() -> None: ...

@component(use_beam=True)
def with_options() -> None: ...

def plain(): ...

class Custom: ...

CONSTANT = 1
"""


@pytest.fixture
def registry(project):
    project.write("parts.py", CODE)
    return Registry(project.folder)


def test_short_names_of_the_language():
    names = {name for name in built_in() if "." not in name}
    assert names == {
        "BatchInference", "BulkInferrer", "CsvExampleGen", "Evaluator", "ExampleValidator", "ImportExampleGen",
        "ImportSchemaGen", "Pusher", "Resolver", "SchemaGen", "StatisticsGen", "TFLiteConverter", "Trainer",
        "Transform", "Tuner",
    }  # fmt: skip


def test_ours_and_the_stock_one_of_the_same_name(registry):
    assert registry.find("Trainer").import_path == "penstock.components.trainer.component.Trainer"
    stock = registry.find("tfx.components.Trainer")
    assert stock.import_path == "tfx.components.Trainer"
    assert stock.parameters["run_fn"].type.kind == "function"
    assert registry.find("tfx.v1.components.Trainer") == stock


def test_an_unknown_name_gets_the_closest(registry):
    with pytest.raises(ConfigError, match="unknown component 'Evalator'") as raised:
        registry.find("Evalator")
    assert raised.value.hint == "did you mean 'Evaluator'?"


@pytest.mark.parametrize("name", ["declared", "with_options", "Custom", "Imported"])
def test_a_users_component_stays_open_until_it_is_imported(registry, name):
    assert registry.find(f"parts.{name}").open


def test_describe_is_asked_when_there_is_one(project):
    project.write("parts.py", CODE)
    described = ComponentType(name="x", import_path="parts.declared")
    assert Registry(project.folder, lambda _: described).find("parts.declared") is described


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("parts.plain", "'parts.plain' is not a component"),
        ("parts.CONSTANT", "'parts.CONSTANT' is not a component"),
        ("parts.declard", "'parts' defines no 'declard'"),
        ("part.declared", "no module 'part'"),
    ],
)
def test_a_path_that_leads_to_no_component(registry, path, message):
    with pytest.raises(ConfigError, match=message):
        registry.find(path)
