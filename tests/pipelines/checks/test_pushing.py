"""Rules about what a Pusher asks a model."""

import pytest

DATA = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n  schema: {component: SchemaGen}\n"
STATISTICS = "  statistics: {component: StatisticsGen}\n"
TRAINER = "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
TRANSFORM = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\n")


def pusher(inputs):
    return (
        f"  pusher:\n    component: Pusher\n    inputs: {inputs}\n"
        "    with: {destination: {directory: out}, warmup: {rows: 5}}\n"
    )


def _steps(inputs):
    data = DATA.replace("  schema", f"{STATISTICS}  schema")
    return data + TRANSFORM + TRAINER + pusher(inputs)


def test_warm_up_needs_rows(project):
    assert project.problems(_steps("{examples: []}")) == (
        "p.yaml:12:43: step 'pusher' makes warm-up requests of rows, and nothing feeds its input 'examples'\n"
        "   12 |     with: {destination: {directory: out}, warmup: {rows: 5}}\n"
        "      |                                           ^^^^^^\n"
        "      expected: one of examples.examples\n"
        "      next: write inputs: {examples: examples.examples}, or leave warmup out\n"
        "\n"
        "1 problem in p.yaml; nothing was run."
    )


def test_warm_up_takes_raw_rows(project):
    text = project.problems(_steps("{examples: transform.transformed_examples}"))
    assert "'examples' of step 'pusher' takes raw examples, and transform.transformed_examples is transformed" in text
    assert "expected: one of examples.examples" in text


def test_warm_up_with_raw_rows(project):
    graph = project.graph(_steps("{examples: examples.examples}"))
    assert list(map(str, graph.steps["pusher"].inputs["examples"])) == ["examples.examples"]


CONVERTER = "  tflite: {component: TFLiteConverter, with: {modes: [float32]}}\n"


@pytest.mark.parametrize(
    ("destination", "other", "needed", "wire"),
    [
        ("tflite_directory", "model", "tflite_model", "trainer.model"),
        ("directory", "tflite_model", "model", "tflite.tflite_model"),
    ],
)
def test_what_the_destination_does_not_take(project, destination, other, needed, wire):
    step = (
        f"  pusher: {{component: Pusher, inputs: {{{other}: {wire}}}, with: {{destination: {{{destination}: out}}}}}}\n"
    )
    column = step.index(f"{other}:") + 1
    text = project.problems(DATA + TRAINER + CONVERTER + step)
    assert f":{column}: step 'pusher' pushes '{needed}' to its destination, not '{other}'\n" in text
    assert (
        f"      received: {wire}\n"
        f"      expected: a wire to '{needed}' alone\n"
        "      next: destination: {directory: …} is for a SavedModel, {tflite_directory: …} for flatbuffers\n"
    ) in text
