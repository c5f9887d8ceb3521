"""``with`` is checked field by field, protos included."""

import pytest

from tests.conftest import Project

SOURCE = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"


@pytest.fixture(autouse=True)
def _data(project: Project) -> None:
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "LIMIT = 3\ndef build_model(context): ...\ndef preprocess(inputs): ...\n")


def generator(with_: str) -> str:
    return f"  examples: {{component: CsvExampleGen, with: {with_}}}\n"


@pytest.mark.parametrize(
    ("with_", "messages"),
    [
        ("{}", ["missing required key 'input_base' in steps.examples.with", "expected: a path"]),
        ("{input_bas: data}", ["unknown key 'input_bas'", "next: did you mean 'input_base'?"]),
        ("{input_base: 5}", ["expected a path, received the integer 5 at steps.examples.with.input_base"]),
        (
            "{input_base: data, input_config: {split: []}}",
            ["unknown field 'split' in steps.examples.with.input_config (Input)", "did you mean 'splits'?"],
        ),
        (
            "{input_base: data, input_config: {splits: [{name: 3}]}}",
            ["received the integer 3 at steps.examples.with.input_config.splits.0.name", "next: put it in quotes"],
        ),
        (
            "{input_base: data, output_config: {split_config: {splits: [{name: a, hash_buckets: two}]}}}",
            ["expected an integer, received the text 'two' at", "output_config.split_config.splits.0.hash_buckets"],
        ),
        (
            "{input_base: data, input_config: [1]}",
            ["expected a mapping, received a list at", "next: its keys are splits"],
        ),
    ],
)
def test_wrong_values_say_where_what_and_what_is_allowed(project, with_, messages):
    text = project.problems(generator(with_))
    for message in messages:
        assert message in text


def test_two_members_of_a_oneof(project):
    range_config = "{static_range: {start_span_number: 1}, rolling_range: {num_spans: 1}}"
    text = project.problems(generator(f"{{input_base: data, range_config: {range_config}}}"))
    assert "only one of static_range and rolling_range can be set" in text


def test_an_enum_takes_its_names(project):
    project.write("data/x.gz", "x")
    graph = project.graph(
        "  e: {component: ImportExampleGen, with: {input_base: data, payload_format: FORMAT_PROTO}}\n"
    )
    assert graph.steps["e"].parameters["payload_format"] == "FORMAT_PROTO"
    text = project.problems("  e: {component: ImportExampleGen, with: {input_base: data, payload_format: PROTO}}\n")
    assert (
        "expected one of FORMAT_TF_EXAMPLE, FORMAT_TF_SEQUENCE_EXAMPLE, FORMAT_PROTO, received the text 'PROTO'" in text
    )


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("code.preproces", "'code' defines no 'preproces'"),
        ("cod.preprocess", "no module 'cod'"),
        ("code.LIMIT", "'code.LIMIT' is not a function"),
        ("preprocess", "'preprocess' is not an import path"),
        ("code", "'code' is not an import path"),
    ],
)
def test_a_function_that_is_not_there(project, function, message):
    steps = SOURCE + "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
    text = project.problems(f"{steps}  transform: {{component: Transform, with: {{preprocessing_fn: {function}}}}}\n")
    assert message in text


@pytest.mark.parametrize(
    ("with_", "received"),
    [("{}", "neither"), ("{preprocessing_fn: code.preprocess, module_file: code.py}", "both module_file and")],
)
def test_exactly_one_way_to_name_the_code(project, with_, received):
    steps = SOURCE + "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
    text = project.problems(f"{steps}  transform: {{component: Transform, with: {with_}}}\n")
    assert "Transform needs exactly one of module_file and preprocessing_fn" in text
    assert f"received: {received}" in text


def test_our_components_speak_the_same_way(project):
    text = project.problems(
        SOURCE + "  t: {component: Trainer, with: {model_fn: code.build_model, label: x, epoch: 3}}\n"
    )
    assert "unknown key 'epoch' in steps.t.with" in text
    assert "did you mean 'epochs'?" in text


def test_paths_of_parameters_are_made_absolute(project):
    graph = project.graph(SOURCE)
    assert graph.steps["examples"].parameters["input_base"] == str(project.folder / "data")


def test_paths_in_our_components_configs_are_made_absolute(project):
    steps = "  m: {component: Resolver, with: {strategy: latest, artifacts: {model: Model}}}\n"
    graph = project.graph(steps + "  push: {component: Pusher, with: {destination: {directory: out}}}\n")
    config = graph.steps["push"].config
    assert config is not None
    assert config.model_dump()["destination"]["directory"] == str(project.folder / "out")


def test_a_resolver_explains_its_strategies(project):
    assert "needs artifacts, such as {model: Model}" in project.problems(
        "  m: {component: Resolver, with: {strategy: latest}}\n"
    )
    assert "always gives model and model_blessing" in project.problems(
        "  m: {component: Resolver, with: {strategy: latest_blessed, artifacts: {model: Model}}}\n"
    )


def test_every_problem_is_reported_at_once(project):
    steps = generator("{input_bas: data}") + "  s: {component: StatisticsGn}\n  v: {component: Trainer, with: {}}\n"
    text = project.problems(steps)
    for message in ("unknown key 'input_bas'", "unknown component 'StatisticsGn'", "missing required key 'model_fn'"):
        assert message in text
