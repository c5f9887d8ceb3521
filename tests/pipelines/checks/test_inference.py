"""Rules about which model scores which rows."""

import pytest

DATA = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n  schema: {component: SchemaGen}\n"
STATISTICS = "  statistics: {component: StatisticsGen}\n"
TRAINER = "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
TRANSFORM = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n"
PUSHER = "  pusher: {component: Pusher, with: {destination: {directory: out}}}\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\n")


def _steps(inference):
    data = DATA.replace("  schema", f"{STATISTICS}  schema")
    return data + TRANSFORM + TRAINER + PUSHER + f"  predictions: {{component: BatchInference{inference}}}\n"


def _wires(graph):
    return {name: [str(wire) for wire in wires] for name, wires in graph.steps["predictions"].inputs.items()}


def test_the_model_and_the_raw_rows_of_the_run_are_found(project):
    assert _wires(project.graph(_steps(""))) == {"model": ["trainer.model"], "examples": ["examples.examples"]}


def test_files_and_a_server_need_neither(project):
    graph = project.graph(_steps(", with: {input: {files: '*.csv'}, mode: {remote: {grpc: 'a:1', model: m}}}"))
    assert _wires(graph) == {}
    assert graph.steps["predictions"].config.input.files == str(project.folder / "*.csv")


def test_nothing_feeds_it(project):
    assert project.problems("  predictions: {component: BatchInference}\n") == (
        "p.yaml:4:3: nothing feeds input 'examples' of step 'predictions' (BatchInference)\n"
        "    4 |   predictions: {component: BatchInference}\n"
        "      |   ^^^^^^^^^^^\n"
        "      expected: a step that gives it, or with: {input: {files: 'data/*.csv'}}\n"
        "\n"
        "p.yaml:4:3: nothing feeds input 'model' of step 'predictions' (BatchInference)\n"
        "    4 |   predictions: {component: BatchInference}\n"
        "      |   ^^^^^^^^^^^\n"
        "      expected: a step that gives it, or mode: {remote: {grpc: host:8500, model: name}}\n"
        "\n"
        "2 problems in p.yaml; nothing was run."
    )


def test_transformed_rows(project):
    text = project.problems(_steps(", inputs: {examples: transform.transformed_examples}"))
    assert (
        "'examples' of step 'predictions' takes raw examples, and transform.transformed_examples is transformed" in text
    )


def test_rows_unwired(project):
    text = project.problems(_steps(", inputs: {examples: []}"))
    assert "expected: one of examples.examples, or with: {input: {files: 'data/*.csv'}}" in text
    assert "next: write inputs: {examples: examples.examples}" in text
