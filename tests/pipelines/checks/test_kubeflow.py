"""What validate says of a pipeline that cannot run where its config says."""

import pytest

ROOT = "pipeline: p\nroot: gs://bucket/p\n"
CLUSTER = ROOT + "kubeflow:\n  image: registry/team/p:1\n"
EXAMPLES = "  examples: {component: CsvExampleGen, with: {input_base: gs://bucket/data}}\n"
TRAINER = "  trainer:\n    component: Trainer\n    with:\n      model_fn: code.build_model\n      label: label\n"


@pytest.fixture(autouse=True)
def _code(project):
    project.write("code.py", "def build_model(context): ...\ndef tell(outcome): ...\n")


def messages(project, steps, top=CLUSTER):
    text = project.problems(steps, top=top)
    return [line for line in text.splitlines() if not line.startswith((" ", "1 problem", "2 problem")) and line]


def test_a_pipeline_that_can_run_there(project):
    graph = project.graph(
        EXAMPLES + TRAINER + "      runtime: {}\n    resources: {accelerator: {type: nvidia.com/gpu}}\n",
        top=CLUSTER + "  exit_handler: code.tell\n",
    )
    assert graph.kubeflow is not None
    assert graph.steps["trainer"].resources.accelerator.type == "nvidia.com/gpu"


@pytest.mark.parametrize("root", ["runs", "/mnt/runs", "file:///runs", "http://host/x"])
def test_a_root_that_no_container_sees(project, root):
    (found,) = messages(project, EXAMPLES, top=CLUSTER.replace("gs://bucket/p", root))
    assert found == "p.yaml:2:7: the steps on Kubeflow Pipelines cannot see the root"


def test_a_root_without_a_bucket(project):
    (found,) = messages(project, EXAMPLES, top=CLUSTER.replace("gs://bucket/p", "minio://"))
    assert found == "p.yaml:2:7: the root names no bucket"


def test_vertex_reads_its_own_store_only(project):
    top = CLUSTER.replace("gs://", "minio://") + "  target: vertex\n  vertex: {project: p, region: r}\n"
    (found,) = messages(project, EXAMPLES, top=top)
    assert found == "p.yaml:2:7: the steps on Vertex AI cannot see the root"


def test_what_vertex_does_not_have(project):
    top = CLUSTER + "  target: vertex\n  volumes: [{claim: a, path: /a}]\n  secrets: {A: {secret: a, key: b}}\n"
    assert messages(project, EXAMPLES, top=top) == [
        "p.yaml:3:1: target vertex needs to know where",
        "p.yaml:6:3: Vertex AI has no 'volumes'",
        "p.yaml:7:3: Vertex AI has no 'secrets'",
        "3 problems in p.yaml; nothing was run.",
    ]


def test_schedules_of_kubeflow_have_no_time_zone(project):
    top = CLUSTER + "  schedule: {cron: 0 3 * * *, timezone: Europe/Berlin}\n"
    (found,) = messages(project, EXAMPLES, top=top)
    assert found == "p.yaml:5:31: schedules of Kubeflow Pipelines are in UTC"


def test_a_variable_that_is_a_secret_and_is_not(project):
    top = CLUSTER + "  environment: {A: x}\n  secrets: {A: {secret: a, key: b}}\n"
    (found,) = messages(project, EXAMPLES, top=top)
    assert found == "p.yaml:5:17: A is a secret too"


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        ("kubeflow", "NVIDIA_TESLA_T4", "Kubeflow Pipelines knows no accelerator 'NVIDIA_TESLA_T4'"),
        ("vertex", "nvidia.com/gpu", "Vertex AI knows no accelerator 'nvidia.com/gpu'"),
    ],
)
def test_an_accelerator_of_the_other_target(project, target, kind, message):
    top = f"{CLUSTER}  target: {target}\n  vertex: {{project: p, region: r}}\n"
    steps = EXAMPLES.replace("}}\n", f"}}, resources: {{accelerator: {{type: {kind}}}}}}}\n")
    (found,) = messages(project, steps, top=top)
    assert found.partition(": ")[2] == message


def test_a_resolver(project):
    steps = f"{EXAMPLES}  baseline: {{component: Resolver, with: {{strategy: latest_blessed}}}}\n{TRAINER}"
    steps += "      warm_start: {from: latest_blessed}\n    inputs: {base_model: baseline.model}\n"
    text = project.problems(steps, top=CLUSTER)
    assert text == (
        "p.yaml:7:25: Kubeflow Pipelines runs no Resolver: a step there cannot ask for artifacts of earlier runs\n"
        "    7 |   baseline: {component: Resolver, with: {strategy: latest_blessed}}\n"
        "      |                         ^^^^^^^^\n"
        "      next: disable it with enabled: false and leave out what is wired to it, such as "
        "steps.trainer.inputs.base_model\n"
        "\n"
        "1 problem in p.yaml; nothing was run."
    )


def test_logical_devices(project):
    (found,) = messages(project, EXAMPLES + TRAINER + "      runtime: {logical_devices: {cpu: 2}}\n")
    assert found == (
        "p.yaml:12:17: logical devices divide the devices of one machine, and Kubeflow Pipelines has real ones"
    )


@pytest.mark.parametrize("strategy", ["multi_worker_mirrored", "{name: parameter_server, workers: 2, ps: 1}"])
def test_processes_in_one_container(project, strategy):
    (found,) = messages(project, f"{EXAMPLES}{TRAINER}      strategy: {strategy}\n")
    assert found.startswith("p.yaml:12:17: ")
    assert found.endswith("would start its workers as processes of one container")


@pytest.mark.parametrize("path", ["data", "/mnt/data", "/database"])
def test_a_path_of_this_machine(project, path):
    top = CLUSTER + "  volumes: [{claim: data, path: /data}]\n"
    text = project.problems(EXAMPLES.replace("gs://bucket/data", path), top=top)
    assert "p.yaml:7:59: step 'examples' cannot see this path on Kubeflow Pipelines\n" in text
    assert "expected: gs://BUCKET/PATH, or a path below /data/\n" in text


@pytest.mark.parametrize("path", ["/data", "/data/rows"])
def test_a_path_in_a_volume(project, path):
    steps = EXAMPLES.replace("gs://bucket/data", path)
    assert project.graph(steps, top=CLUSTER + "  volumes: [{claim: data, path: /data}]\n").steps


def test_a_url_that_only_the_launcher_reads(project):
    (found,) = messages(project, EXAMPLES.replace("gs:", "minio:"))
    assert found == "p.yaml:6:59: TensorFlow and Beam read no such URL"


def test_vertex_mounts_buckets(project):
    top = CLUSTER + "  target: vertex\n  vertex: {project: p, region: r}\n"
    assert project.graph(EXAMPLES.replace("gs://bucket/data", "/gcs/bucket/data"), top=top).steps


def test_a_module_file(project):
    steps = EXAMPLES + "  statistics: {component: StatisticsGen}\n  schema: {component: SchemaGen}\n"
    steps += "  transform: {component: Transform, with: {module_file: code.py}}\n"
    (found,) = messages(project, steps)
    assert found == "p.yaml:9:57: the module of step 'transform' lies outside the image"


def test_a_module_outside_the_project(project, tmp_path_factory, monkeypatch):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "away.py").write_text("def build_model(context): ...\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    text = project.problems(EXAMPLES + TRAINER.replace("code.build", "away.build"), top=CLUSTER)
    assert "p.yaml:10:17: 'away.build_model' lies outside the project, so it is not in the image\n" in text
    assert f"received: {elsewhere}/away.py\n" in text


def test_an_exit_handler_that_is_not_there(project):
    (found,) = messages(project, EXAMPLES, top=CLUSTER + "  exit_handler: code.tel\n")
    assert found == "p.yaml:5:17: 'code' defines no 'tel'"


def test_beam_workers_cannot_read_minio(project):
    top = CLUSTER.replace("gs://", "minio://") + "beam: {runner: flink}\n"
    (found,) = messages(project, EXAMPLES, top=top)
    assert found == "p.yaml:2:7: Beam's workers cannot see the root: only KFP's launcher reads minio://"


@pytest.mark.parametrize("name", ["DB_PASSWORD", "API_TOKEN", "HIDDEN"])
def test_a_secret_would_be_written_out(project, monkeypatch, name):
    from penstock.pipelines.config import ConfigProblems, load
    from penstock.pipelines.resolve import resolve

    top = f"{CLUSTER}  environment: {{X: '${{env.{name}}}'}}\n  secrets: {{HIDDEN: {{secret: a, key: b}}}}\n"
    with pytest.raises(ConfigProblems) as raised:
        resolve(load(project.pipeline(EXAMPLES, top=top), environ={name: "hunter2"}))
    assert "hunter2" not in str(raised.value)
    assert f"the value of {name} would be written into the compiled pipeline" in str(raised.value)
    assert f"expected: kubeflow: {{secrets: {{{name}: {{secret: NAME, key: KEY}}}}}}" in str(raised.value)


def test_another_variable_may_be_written_out(project):
    from penstock.pipelines.config import load
    from penstock.pipelines.resolve import resolve

    top = CLUSTER.replace("bucket", "${env.BUCKET}")
    assert resolve(load(project.pipeline(EXAMPLES, top=top), environ={"BUCKET": "b"})).root == "gs://b/p"


def test_without_the_block_nothing_is_asked(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    assert project.graph(EXAMPLES.replace("gs://bucket/data", "data")).kubeflow is None
