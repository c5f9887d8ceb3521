"""Rules about what a TFLiteConverter needs beside its model."""

import pytest

DATA = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
SCHEMA = "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
TRANSFORM = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n"
TRAINER = "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
STOCK = "  trainer: {component: tfx.components.Trainer, with: {run_fn: code.run, train_args: {}, eval_args: {}}}\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\ndef run(args): ...\n")


def tflite(parameters, inputs="{}"):
    return f"  tflite:\n    component: TFLiteConverter\n    inputs: {inputs}\n    with: {parameters}\n"


def test_it_is_wired_to_raw_rows_and_to_transforms_graph(project):
    graph = project.graph(DATA + SCHEMA + TRANSFORM + TRAINER + tflite("{gate: {metric: accuracy}}"))
    wires = {name: [str(wire) for wire in wires] for name, wires in graph.steps["tflite"].inputs.items()}
    assert wires == {
        "model": ["trainer.model"],
        "examples": ["examples.examples"],
        "transform_graph": ["transform.transform_graph"],
    }


def test_the_graph_is_left_out_where_nothing_needs_it(project):
    graph = project.graph(DATA + SCHEMA + TRANSFORM + TRAINER + tflite("{}"))
    assert set(graph.steps["tflite"].inputs) == {"model", "examples"}


def test_the_label_of_a_stock_trainers_model_is_not_known(project):
    steps = DATA + SCHEMA + STOCK
    assert project.problems(steps + tflite("{gate: {metric: accuracy}}")) == (
        "p.yaml:11:27: step 'tflite' measures accuracy, and its model does not say which feature is the label\n"
        "   11 |     with: {gate: {metric: accuracy}}\n"
        "      |                           ^^^^^^^^\n"
        "      expected: label: the name of the label feature, beside `gate`\n\n"
        "1 problem in p.yaml; nothing was run."
    )
    assert project.graph(steps + tflite("{label: label, gate: {metric: accuracy}}"))
    assert project.graph(steps + tflite("{}"))


def test_transformed_rows_are_no_raw_rows(project):
    steps = DATA + SCHEMA + TRANSFORM + TRAINER
    message = project.problems(steps + tflite("{}", "{examples: transform.transformed_examples}"))
    assert (
        "'examples' of step 'tflite' takes raw examples, and transform.transformed_examples is transformed" in message
    )
    assert "next: leave the wire out; for a signature of transformed features set features: transformed" in message


def test_transformed_features_need_a_graph(project):
    message = project.problems(DATA + SCHEMA + TRAINER + tflite("{features: transformed}"))
    assert "nothing feeds input 'transform_graph' (TransformGraph) of step 'tflite' (TFLiteConverter)" in message
