"""Inputs find their producers, and say so when they cannot."""

import pytest

from penstock.pipelines.graph import Wire
from tests.conftest import Project

DATA = """
  examples: {component: CsvExampleGen, with: {input_base: data}}
  statistics: {component: StatisticsGen}
  schema: {component: SchemaGen}
"""


@pytest.fixture(autouse=True)
def _data(project: Project) -> None:
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\n")


TRANSFORM = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n"


def trainer(name: str = "trainer", **extra: str) -> str:
    more = "".join(f", {key}: {value}" for key, value in extra.items())
    return f"  {name}: {{component: Trainer, with: {{model_fn: code.build_model, label: label}}{more}}}\n"


EVALUATOR = "  evaluator: {component: Evaluator, with: {eval_config: {}}}\n"
PUSHER = "  pusher: {component: Pusher, with: {destination: {directory: out}}}\n"


def test_every_input_of_a_usual_pipeline_finds_its_producer(project):
    graph = project.graph(DATA + TRANSFORM + trainer() + EVALUATOR + PUSHER)
    wires = {name: {key: str(w[0]) for key, w in step.inputs.items()} for name, step in graph.steps.items()}
    assert wires["statistics"] == {"examples": "examples.examples"}
    assert wires["transform"] == {"examples": "examples.examples", "schema": "schema.schema"}
    assert wires["trainer"] == {
        "examples": "examples.examples",
        "transformed_examples": "transform.transformed_examples",
        "transform_graph": "transform.transform_graph",
        "schema": "schema.schema",
    }
    assert wires["evaluator"] == {"examples": "examples.examples", "model": "trainer.model", "schema": "schema.schema"}
    assert wires["pusher"] == {"model": "trainer.model", "model_blessing": "evaluator.blessing"}


WARM_UP = PUSHER.replace("{destination: {directory: out}}", "{destination: {directory: out}, warmup: {rows: 5}}")


def test_warm_up_rows_are_raw_examples(project):
    graph = project.graph(DATA + TRANSFORM + trainer() + WARM_UP)
    assert list(map(str, graph.steps["pusher"].inputs["examples"])) == ["examples.examples"]


TWO_SOURCES = DATA + "  more: {component: CsvExampleGen, with: {input_base: data}}\n"
TRAINED = trainer(inputs="{examples: examples.examples}")


def test_an_input_without_a_use_is_not_looked_for(project):
    text = TWO_SOURCES.replace("StatisticsGen", "StatisticsGen, inputs: {examples: examples.examples}") + TRAINED
    assert set(project.graph(text + PUSHER).steps["pusher"].inputs) == {"model"}
    problems = project.problems(text + WARM_UP)
    assert "input 'examples' (Examples) of step 'pusher' could come from 2 outputs" in problems
    assert "expected: one of examples.examples, more.examples" in problems


CONVERTER = "  tflite: {component: TFLiteConverter, with: {modes: [float32]}}\n"
PUSHES_FLATBUFFERS = "  devices: {component: Pusher, with: {destination: {tflite_directory: out}}}\n"


def test_the_destination_decides_which_model_is_pushed(project):
    graph = project.graph(DATA + trainer() + EVALUATOR + CONVERTER + PUSHER + PUSHES_FLATBUFFERS)
    wires = {name: {key: str(w[0]) for key, w in graph.steps[name].inputs.items()} for name in ("pusher", "devices")}
    assert wires == {
        "pusher": {"model": "trainer.model", "model_blessing": "evaluator.blessing"},
        "devices": {"tflite_model": "tflite.tflite_model", "model_blessing": "evaluator.blessing"},
    }


def test_an_optional_input_that_the_parameters_need(project):
    nothing = project.problems(DATA + trainer() + PUSHES_FLATBUFFERS)
    assert "nothing feeds input 'tflite_model' (TFLiteModel) of step 'devices' (Pusher)" in nothing
    assert "next: add a step that gives TFLiteModel: TFLiteConverter" in nothing
    unwired = PUSHES_FLATBUFFERS.replace("with:", "inputs: {tflite_model: []}, with:")
    text = project.problems(DATA + trainer() + CONVERTER + unwired)
    assert "input 'tflite_model' of step 'devices' cannot be left unwired" in text
    assert "nothing feeds input 'model' (Model) of step 'pusher' (Pusher)" in project.problems(DATA + PUSHER)


def test_two_producers_are_an_error_that_lists_them(project):
    text = project.problems(DATA + trainer("small") + trainer("large") + EVALUATOR)
    assert "input 'model' (Model) of step 'evaluator' could come from 2 outputs" in text
    assert "expected: one of small.model, large.model" in text
    assert "next: say which, such as inputs: {model: large.model}" in text


def test_a_declared_wire_settles_it(project):
    evaluator = "  evaluator: {component: Evaluator, inputs: {model: small.model}, with: {eval_config: {}}}\n"
    graph = project.graph(DATA + trainer("small") + trainer("large") + evaluator)
    assert graph.steps["evaluator"].inputs["model"] == (Wire("small", "model"),)


def test_the_producer_that_all_others_flow_into_is_the_nearest(project):
    second = "  schema2: {component: SchemaGen, inputs: {statistics: again.statistics}}\n"
    again = "  again: {component: StatisticsGen, inputs: {schema: schema.schema}}\n"
    graph = project.graph(DATA + again + second + "  validator: {component: ExampleValidator}\n")
    assert str(graph.steps["validator"].inputs["schema"][0]) == "schema2.schema"
    assert str(graph.steps["validator"].inputs["statistics"][0]) == "again.statistics"


def test_a_missing_wire_names_what_would_give_it(project):
    text = project.problems(
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n  schema: {component: SchemaGen}\n"
    )
    assert "nothing feeds input 'statistics' (ExampleStatistics) of step 'schema' (SchemaGen)" in text
    assert "add a step that gives ExampleStatistics: StatisticsGen" in text


def test_a_producer_that_comes_later_is_named(project):
    text = project.problems(
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
        "  schema: {component: SchemaGen}\n  statistics: {component: StatisticsGen}\n"
    )
    assert "move statistics before schema, or write inputs: {statistics: statistics.statistics}" in text


def test_a_baseline_comes_from_a_resolver_only(project):
    resolver = "  baseline: {component: Resolver, with: {strategy: latest_blessed}}\n"
    without = project.graph(DATA + trainer() + EVALUATOR)
    assert "baseline_model" not in without.steps["evaluator"].inputs
    graph = project.graph(DATA + resolver + trainer() + EVALUATOR + PUSHER)
    assert str(graph.steps["evaluator"].inputs["baseline_model"][0]) == "baseline.model"
    assert str(graph.steps["evaluator"].inputs["model"][0]) == "trainer.model"
    assert str(graph.steps["pusher"].inputs["model_blessing"][0]) == "evaluator.blessing"


def test_an_old_blessing_never_gates_a_new_model(project):
    resolver = "  baseline: {component: Resolver, with: {strategy: latest_blessed}}\n"
    graph = project.graph(DATA + resolver + trainer() + PUSHER)
    assert "model_blessing" not in graph.steps["pusher"].inputs


def test_a_resolved_model_feeds_a_step_that_nothing_else_can(project):
    steps = "  latest: {component: Resolver, with: {strategy: latest, artifacts: {model: Model}}}\n"
    graph = project.graph(DATA + steps + "  scores: {component: BulkInferrer}\n")
    assert str(graph.steps["scores"].inputs["model"][0]) == "latest.model"


@pytest.mark.parametrize(
    ("wire", "message", "expected"),
    [
        ("nowhere.model", "no step 'nowhere'", "trainer.model"),
        ("schema.schemas", "step 'schema' (SchemaGen) has no output 'schemas'", "schema.schema"),
        ("schema.schema", "'model' takes Model, but schema.schema is Schema", "trainer.model"),
        ("off.model", "step 'off' is disabled", "trainer.model"),
    ],
)
def test_a_wrong_wire_says_what_is_wrong_and_what_would_fit(project, wire, message, expected):
    evaluator = f"  evaluator: {{component: Evaluator, inputs: {{model: {wire}}}, with: {{eval_config: {{}}}}}}\n"
    text = project.problems(DATA + trainer() + trainer("off", enabled="false") + evaluator)
    assert message in text
    assert f"expected: one of {expected}\n" in text
    assert "p.yaml:10:53" in text


def test_an_unknown_input_names_the_inputs(project):
    text = project.problems(DATA + "  v: {component: ExampleValidator, inputs: {schemas: schema.schema}}\n")
    assert "ExampleValidator has no input 'schemas'" in text
    assert "did you mean 'schema'?" in text


def test_a_step_without_inputs_says_so(project):
    text = project.problems("  examples: {component: CsvExampleGen, with: {input_base: data}, inputs: {x: a.b}}\n")
    assert "CsvExampleGen has no input 'x'" in text
    assert "expected: no inputs: it takes none" in text


def test_a_stock_trainer_reads_what_transform_made(project):
    stock = "  trainer: {component: tfx.components.Trainer, with: {run_fn: code.build_model}}\n"
    graph = project.graph(DATA + TRANSFORM + stock)
    assert str(graph.steps["trainer"].inputs["examples"][0]) == "transform.transformed_examples"
    plain = project.graph(DATA + stock)
    assert str(plain.steps["trainer"].inputs["examples"][0]) == "examples.examples"


def test_a_cycle_is_printed(project):
    text = project.problems(DATA + trainer("a", after="[b]") + trainer("b", after="[a]"))
    assert "steps wait for each other: a → b → a" in text or "steps wait for each other: b → a → b" in text


def test_after_orders_steps_that_no_wire_connects(project):
    graph = project.graph(DATA + "  validator: {component: ExampleValidator}\n" + trainer(after="[validator]"))
    assert "validator" in graph.steps["trainer"].upstream
    text = project.problems(DATA + trainer(after="[validatr]"))
    assert "no step 'validatr'" in text
    assert "expected: one of examples, statistics, schema\n" in text


def test_downstream_steps_follow_every_wire(project):
    graph = project.graph(DATA + TRANSFORM + trainer() + EVALUATOR + PUSHER)
    assert graph.downstream(frozenset(["trainer"])) == {"trainer", "evaluator", "pusher"}


def test_raw_examples_are_asked_for_where_transformed_ones_are_given(project):
    wired = trainer(inputs="{examples: transform.transformed_examples}")
    text = project.problems(DATA + TRANSFORM + wired)
    assert "takes raw examples, and transform.transformed_examples is transformed" in text
    assert "write inputs: {transformed_examples: transform.transformed_examples}" in text


def test_a_disabled_step_that_would_feed_an_input_is_named(project):
    text = project.problems(DATA.replace("{component: StatisticsGen}", "{component: StatisticsGen, enabled: false}"))
    assert "nothing feeds input 'statistics' (ExampleStatistics) of step 'schema' (SchemaGen)" in text
    assert "next: enable step statistics" in text


def test_an_empty_list_leaves_an_optional_input_unwired(project):
    pusher = PUSHER.replace("Pusher, ", "Pusher, inputs: {model_blessing: []}, ")
    graph = project.graph(DATA + trainer() + EVALUATOR + pusher)
    assert list(graph.steps["pusher"].inputs) == ["model"]


def test_a_required_input_cannot_be_left_unwired(project):
    text = project.problems(DATA.replace("{component: SchemaGen}", "{component: SchemaGen, inputs: {statistics: []}}"))
    assert "input 'statistics' of step 'schema' cannot be left unwired" in text
