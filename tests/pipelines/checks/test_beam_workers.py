"""Rules about engines whose workers are elsewhere: what Dataflow needs, and how a cluster gets the code."""

import pytest

DATA = "  examples: {component: CsvExampleGen, with: {input_base: 'gs://bucket/data'}}\n"
WELL = {
    "project": "my-project",
    "region": "europe-west4",
    "temp_location": "gs://bucket/temp",
    "sdk_container_image": "repository/image",
}


def _top(beam, root="gs://bucket/root"):
    return f"pipeline: p\nroot: {root}\nmetadata: {{sqlite: m.sqlite}}\nbeam: {beam}\n"


def _dataflow(**changes):
    options = {key: value for key, value in {**WELL, **changes}.items() if value is not None}
    return f"{{runner: dataflow, options: {{{', '.join(f'{key}: {value}' for key, value in options.items())}}}}}"


def test_everything_is_there(project):
    assert project.graph(DATA, top=_top(_dataflow())).beam_args[0] == "--runner=DataflowRunner"
    assert project.graph(DATA, top=_top(_dataflow(sdk_container_image=None, setup_file="auto")))


def test_nothing_is_there(project):
    assert project.problems(DATA, top=_top("{runner: dataflow}", root="runs")) == (
        "p.yaml:2:7: Dataflow's workers cannot see the root\n"
        "    2 | root: runs\n"
        "      |       ^^^^\n"
        f"      received: {project.folder}/runs\n"
        "      expected: a root in Google Cloud Storage, such as gs://bucket/digits\n"
        "\n"
        "p.yaml:4:16: Dataflow needs project, region, temp_location\n"
        "    4 | beam: {runner: dataflow}\n"
        "      |                ^^^^^^^^\n"
        "      expected: project: the id of a Google Cloud project; region: where the workers are, such as "
        "europe-west4; temp_location: where Dataflow keeps what it needs for a while, such as gs://bucket/temp\n"
        "      next: add them to beam.options: {project: …, region: …, temp_location: …}\n"
        "\n"
        "p.yaml:4:16: Dataflow's workers would not have your code, nor Penstock\n"
        "    4 | beam: {runner: dataflow}\n"
        "      |                ^^^^^^^^\n"
        "      expected: sdk_container_image, an image with both, or setup_file: auto\n"
        "      next: 'penstock image' builds the image; setup_file ships code and installs the libraries on every "
        "worker\n"
        "\n"
        "3 problems in p.yaml; nothing was run."
    )


@pytest.mark.parametrize("missing", ["project", "region", "temp_location"])
def test_one_is_missing(project, missing):
    text = project.problems(DATA, top=_top(_dataflow(**{missing: None})))
    assert f"p.yaml:4:26: Dataflow needs {missing}\n" in text
    assert text.endswith("1 problem in p.yaml; nothing was run.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"temp_location": "/tmp/here"}, "Dataflow does not take this temp_location"),
        ({"temp_location": "gs://bucket"}, "expected: gs://bucket/folder"),
        ({"staging_location": "s3://bucket/x"}, "Dataflow does not take this staging_location"),
        ({"project": "My Project"}, "expected: a project's id, not its number or name"),
        ({"project": "'123456'"}, "Dataflow does not take this project"),
        ({"job_name": "Digits_1"}, "expected: lower-case letters, digits and '-', a letter first"),
        ({"num_workers": "0"}, "num_workers must be at least 1"),
        ({"num_workers": "5", "max_num_workers": "2"}, "received: num_workers 5, max_num_workers 2"),
    ],
)
def test_what_dataflow_refuses(project, changes, expected):
    assert expected in project.problems(DATA, top=_top(_dataflow(**changes)))


def _flink(options):
    return f"{{runner: flink, options: {{{options}}}}}"


@pytest.mark.parametrize(
    "options",
    [
        "",
        "flink_master: '[local]'",
        "flink_master: 'localhost:8081', environment_type: LOOPBACK",
        "flink_master: 'http://flink:8081', environment_type: EXTERNAL, environment_config: 'pool:50000'",
        "flink_master: 'flink:8081', sdk_container_image: image",
        "flink_master: 'flink:8081', environment_type: DOCKER, environment_config: image",
        "job_endpoint: 'elsewhere:8099'",
    ],
)
def test_workers_have_the_code(project, options):
    assert project.graph(DATA, top=_top(_flink(options))).beam.runner == "flink"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (
            "flink_master: 'flink:8081'",
            "the workers of the cluster at flink:8081 would not have your code, nor Penstock\n",
        ),
        (
            "flink_master: 'localhost:8081'",
            "next: a cluster on this machine: environment_type: LOOPBACK, its workers are then threads of the step",
        ),
        (
            "flink_master: 'flink:8081', environment_type: LOOPBACK",
            "LOOPBACK workers are on this machine, and the cluster at flink:8081 cannot reach them",
        ),
        ("flink_master: 'flink:8081', environment_type: EXTERNAL", "EXTERNAL workers need environment_config"),
        ("environment_type: DOKER", "Beam has no environment 'DOKER' for workers"),
    ],
)
def test_workers_would_not(project, options, expected):
    assert expected in project.problems(DATA, top=_top(_flink(options)))


def test_spark(project):
    cluster = "{runner: spark, options: {spark_master_url: 'spark://host:7077'}}"
    assert "the cluster at spark://host:7077 would not have your code" in project.problems(DATA, top=_top(cluster))
    assert project.graph(DATA, top=_top("{runner: spark, options: {spark_master_url: 'local[2]'}}")).beam_args == (
        "--runner=SparkRunner",
        "--environment_type=LOOPBACK",
        "--spark_master_url=local[2]",
    )
