"""Rules about the beam block: its runner, its options, their types, and whether somebody reads them."""

import pytest

DATA = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
TOP = "pipeline: p\nroot: runs\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")


def _problems(project, beam):
    return project.problems(DATA, top=f"{TOP}beam: {beam}\n")


def _graph(project, beam):
    return project.graph(DATA, top=f"{TOP}beam: {beam}\n")


@pytest.mark.parametrize(
    "runner",
    ["direct", "flink", "spark", "prism", "DirectRunner", "FnApiRunner", "interactive", "my.own.Runner"],
)
def test_runners_that_beam_finds(project, runner):
    assert _graph(project, f"{{runner: {runner}}}").beam.runner == runner


def test_no_such_runner(project):
    assert _problems(project, "{runner: flnk}") == (
        "p.yaml:3:16: Beam has no runner 'flnk'\n"
        "    3 | beam: {runner: flnk}\n"
        "      |                ^^^^\n"
        "      expected: one of direct, dataflow, flink, spark, prism, portable, another of Beam's, or the import path "
        "of a runner's class\n"
        "      next: did you mean 'flink'?\n"
        "\n"
        "1 problem in p.yaml; nothing was run."
    )


def test_no_such_option(project):
    assert _problems(project, "{runner: flink, options: {paralelism: 2}}") == (
        "p.yaml:3:33: Beam has no option 'paralelism'\n"
        "    3 | beam: {runner: flink, options: {paralelism: 2}}\n"
        "      |                                 ^^^^^^^^^^\n"
        "      expected: a flag of Beam without its dashes, such as temp_location\n"
        "      next: did you mean 'parallelism'?\n"
        "\n"
        "1 problem in p.yaml; nothing was run."
    )


def test_a_runner_of_ones_own_has_options_of_its_own(project):
    assert _graph(project, "{runner: my.own.Runner, options: {anything: 1}}").beam_args == (
        "--runner=my.own.Runner",
        "--anything=1",
    )


def test_the_runner_is_no_option(project):
    text = _problems(project, "{runner: flink, options: {runner: FlinkRunner}}")
    assert "the runner has a key of its own" in text
    assert "next: write beam: {runner: flink}" in text


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("parallelism: two", "received: the text 'two'\n      expected: an integer"),
        ("parallelism: true", "received: true\n      expected: an integer"),
        ("parallelism: [1, 2]", "received: a list\n      expected: an integer, once"),
        ("streaming: 1", "received: the integer 1\n      expected: true or false"),
        ("profile_sample_rate: high", "received: the text 'high'\n      expected: a number"),
        ("temp_location: true", "received: true\n      expected: text"),
        ("experiments: [a, true]", "received: a list\n      expected: text, or a list of it"),
        ("flink_version: '1.17'", "expected: one of 1.19, 1.20, 2.0, 2.1, 2.2\n      next: did you mean '1.19'?"),
        ("autoscaling_algorithm: none", "expected: one of NONE, THROUGHPUT_BASED\n      next: did you mean 'NONE'?"),
    ],
)
def test_options_of_another_type(project, option, expected):
    text = _problems(project, f"{{runner: flink, options: {{{option}}}}}")
    assert f"Beam's option '{option.partition(':')[0]}' does not take this\n" in text
    assert expected in text


def test_values_from_the_environment_are_not_shown(project, monkeypatch):
    from penstock.pipelines.config import ConfigProblems, load
    from penstock.pipelines.resolve import resolve

    file = project.pipeline(DATA, top=f"{TOP}beam: {{runner: flink, options: {{parallelism: 'x${{env.SECRET}}'}}}}\n")
    with pytest.raises(ConfigProblems) as raised:
        resolve(load(file, environ={"SECRET": "hush"}))
    assert "hush" not in str(raised.value)


def test_an_option_that_another_engine_reads(project):
    text = _problems(project, "{runner: direct, options: {parallelism: 2}}")
    assert "'parallelism' is an option of the flink runner and does nothing on direct" in text
    assert "next: leave it out; where a file that this one extends has it, write parallelism: null" in text
    # Both of Flink and of the job server that Spark has as well.
    assert _graph(project, "{runner: spark, options: {job_port: 8099, spark_version: '3'}}")


def test_setup_file(project):
    text = _problems(project, "{runner: spark, options: {setup_file: ship/setup.py}}")
    assert f"there is no file {project.folder}/ship/setup.py" in text
    assert "setup_file: auto lets Penstock write one" in text
    project.write("ship/setup.py", "")
    assert _graph(project, "{runner: spark, options: {setup_file: ship/setup.py}}")
    project.write("other.py", "")
    assert "by the name setup.py only" in _problems(project, "{runner: spark, options: {setup_file: other.py}}")


@pytest.mark.parametrize(
    ("beam", "expected"),
    [
        ("{job_server_jar: x.jar}", "no job server is started for the runner 'direct' with these options"),
        (
            "{runner: flink, options: {job_endpoint: 'localhost:8099'}, job_server_jar: x.jar}",
            "no job server is started for the runner 'flink' with these options",
        ),
        ("{runner: flink, job_server_jar: none.jar}", "none.jar\n"),
        (
            "{runner: flink, options: {flink_job_server_jar: y.jar}, job_server_jar: x.jar}",
            "the options name a jar as well: flink_job_server_jar",
        ),
    ],
)
def test_job_server_jar(project, beam, expected):
    project.write("x.jar", "")
    assert expected in _problems(project, beam)


def test_flags(project):
    graph = _graph(project, "{runner: flink, options: {parallelism: 2, experiments: [a, b], streaming: false}}")
    assert graph.beam_args == (
        "--runner=FlinkRunner",
        "--environment_type=LOOPBACK",
        "--parallelism=2",
        "--experiments=a",
        "--experiments=b",
    )


def test_options_of_flinks_job_server(project):
    assert _graph(project, "{runner: flink, options: {checkpointing_interval: 1000, object_reuse: true}}")
    assert "Beam has no option 'object_reuse'" in _problems(project, "{runner: spark, options: {object_reuse: true}}")
