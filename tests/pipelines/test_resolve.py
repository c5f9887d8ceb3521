"""Checking a file: what is wrong with its text and with its meaning is reported together, and only once."""

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.config import ConfigProblems, load
from penstock.pipelines.resolve import check

EXAMPLES = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
STATISTICS = "  statistics: {component: StatisticsGen}\n"
SCHEMA = "  schema: {component: SchemaGen}\n"
TRANSFORM = "  transform: {component: Transform, with: {preprocessing_fn: code.preprocess}}\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\ndef preprocess(inputs): ...\n")


def problems(project, steps, *overrides, **kwargs):
    with pytest.raises(ConfigProblems) as raised:
        check(project.pipeline(steps, **kwargs), overrides, {})
    return [problem.message for problem in raised.value.problems]


def test_a_right_file_gives_the_config_and_the_graph(project):
    loaded, graph = check(project.pipeline(EXAMPLES + STATISTICS), ["pipeline=other"], {})
    assert loaded.config.pipeline == graph.name == "other"
    assert list(graph.steps) == ["examples", "statistics"]


def test_one_mistake_hides_no_other(project):
    top = "pipeline: P\nroot: [a]\nmetadata: {oracle: x}\nvarz: {}\n"
    steps = (
        "  examples: {component: CsvExampleGen, with: {input_base: nowhere}}\n"
        "  statistics: {component: StatisticsGen, wiht: {}}\n"
        "  schema: {component: SchemaGn}\n"
        "  trainer: {component: Trainer, with: {model_fn: code.build, label: '${vars.label}', epoch: 1}}\n"
    )
    found = problems(project, steps, "steps.trainr.cache=true", top=top)
    assert [message.partition(" a")[0].partition(", received")[0] for message in found] == [
        "no key 'trainr' in steps",
        "expected",
        "expected text",
        "unknown key 'oracle' in metadata",
        "unknown key 'varz'",
        "the data folder of step 'examples' is not there",
        "unknown key 'wiht' in steps.statistics",
        "unknown component 'SchemaGn'",
        "undefined name '${vars.label}'",
        "unknown key 'epoch' in steps.trainer.with",
    ]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        # The wires of a step that is left out, and of those after it, are not known.
        (f"{EXAMPLES}  statistics: {{component: StatisticsGen, cahe: true}}\n{SCHEMA}", "unknown key 'cahe'"),
        (f"  examples: {{component: CsvExampleGn}}\n{STATISTICS}{SCHEMA}", "unknown component 'CsvExampleGn'"),
        # A required parameter that holds an undefined name is not also missing.
        ("  examples: {component: CsvExampleGen, with: {input_base: '${vars.data}'}}\n", "undefined name"),
        (
            EXAMPLES + STATISTICS + SCHEMA + TRANSFORM.replace("code.preprocess", "'${vars.function}'"),
            "undefined name",
        ),
        ("  examples: {component: 5}\n", "expected text, received the integer 5"),
        (
            (
                "  examples: {component: CsvExampleGen, with: {input_base: '${vars.a}'}}\n"
                "vars: {a: '${vars.b}', b: '${vars.a}'}\n"
            ),
            "'${…}' goes round in a circle: vars.a -> vars.b -> vars.a",
        ),
    ],
)
def test_what_only_follows_from_a_mistake_is_not_reported(project, steps, message):
    (found,) = problems(project, steps)
    assert found.startswith(message)


def test_an_unknown_component_does_not_change_the_wires_of_others(project):
    steps = (
        "  examples: {component: CsvExampleGn}\n"
        f"{STATISTICS}{SCHEMA}{TRANSFORM}"
        "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
    )
    assert problems(project, steps) == ["unknown component 'CsvExampleGn'"]


@pytest.mark.parametrize(
    ("value", "received"), [('"5"', "the text '5'"), ("true", "true"), ("5.0", "the number 5.0"), ("[5]", "a list")]
)
def test_our_components_take_no_value_for_another(project, value, received):
    steps = f"  t: {{component: Trainer, with: {{model_fn: code.build_model, label: x, epochs: {value}}}}}\n"
    assert f"expected an integer, received {received} at steps.t.with.epochs" in problems(project, EXAMPLES + steps)


def test_a_list_in_our_components_configs_is_a_list(project):
    strategy = "{name: mirrored, devices: ['cpu:0', 'cpu:1']}"
    steps = f"  t: {{component: Trainer, with: {{model_fn: code.build_model, label: label, strategy: {strategy}}}}}\n"
    _, graph = check(project.pipeline(EXAMPLES + steps), (), {})
    config = graph.steps["t"].config
    assert config is not None
    assert config.model_dump()["strategy"]["devices"] == ("cpu:0", "cpu:1")


def test_every_step_disabled(project):
    steps = "  examples: {component: CsvExampleGen, with: {input_base: data}, enabled: false}\n"
    assert problems(project, steps) == ["every step is disabled"]


SCORES = "  scores: {component: BatchInference, with: {%s}%s}\n"
FILES = "input: {files: data/rows.csv, format: csv}"


@pytest.mark.parametrize(
    ("top", "parameters", "more", "cached"),
    [
        ("", "", ", inputs: {model: trainer.model}", True),
        ("cache: false\n", "", ", inputs: {model: trainer.model}", False),
        ("", "mode: {remote: {grpc: 'localhost:1', model: m}}", "", False),
        ("", FILES, ", inputs: {model: trainer.model}", False),
        ("", FILES, ", inputs: {model: trainer.model}, cache: true", True),
        ("cache: false\n", "", ", inputs: {model: trainer.model}, cache: true", True),
    ],
)
def test_what_depends_on_more_than_its_inputs_is_cached_only_where_asked(project, top, parameters, more, cached):
    trainer = "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label, epochs: 1}}\n"
    steps = EXAMPLES + STATISTICS + SCHEMA + trainer + SCORES % (parameters, more)
    _, graph = check(project.pipeline(steps, top=f"pipeline: p\nroot: runs\n{top}"), (), {})
    assert graph.steps["scores"].cache is cached
    assert graph.steps["trainer"].cache is not bool(top)


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ("mysql: {host: db, database: m, user: u}", "mysql://u@db:3306/m"),
        ("postgresql: {host: db, port: 7, database: m, user: u, password_env: P}", "postgresql://u@db:7/m"),
    ],
)
def test_a_metadata_store_on_a_server(project, metadata, shown):
    loaded, graph = check(
        project.pipeline(EXAMPLES, top=f"pipeline: p\nroot: runs\nmetadata: {{{metadata}}}\n"), (), {}
    )
    assert str(graph.server) == str(loaded.server) == shown
    assert graph.sqlite == loaded.sqlite == ""
    assert graph.location == loaded.location == loaded.server


def test_a_metadata_store_behind_a_url(project):
    loaded = load(project.pipeline(EXAMPLES, top="pipeline: p\nroot: gs://bucket/p\n"), environ={})
    with pytest.raises(ConfigError, match="the metadata store of this pipeline is not on this machine") as raised:
        _ = loaded.location
    assert raised.value.received == "gs://bucket/p/metadata.sqlite"


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("mysql: {host: db, database: m, user: u}, sqlite: a.sqlite", "sqlite and mysql are given"),
        ('mysql: {host: db, database: m, user: "u\' x"}', "expected letters, digits and any of '_.:-'"),
        ("mysql: {host: db, database: m, user: u, password: x}", "unknown key 'password' in metadata.mysql"),
        (
            "mysql: {host: db, database: m, user: u, password_env: 'a b'}",
            "expected the name of an environment variable",
        ),
    ],
)
def test_what_is_no_server(project, metadata, message):
    (found,) = problems(project, EXAMPLES, top=f"pipeline: p\nroot: runs\nmetadata: {{{metadata}}}\n")
    assert message in found
