"""Rules about how a Trainer begins."""

import pytest

from penstock.pipelines.checks import training
from penstock.pipelines.config import load
from penstock.pipelines.resolve import resolve

EXAMPLES = "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
BASELINE = "  baseline: {component: Resolver, with: {strategy: latest_blessed}}\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\n")


def trainer(warm_start, inputs=""):
    wires = f"    inputs: {inputs}\n" if inputs else ""
    return (
        f"{EXAMPLES}{BASELINE if inputs else ''}  trainer:\n    component: Trainer\n{wires}"
        f"    with: {{model_fn: code.build_model, label: label, warm_start: {warm_start}}}\n"
    )


def test_the_latest_blessed_model_needs_a_wire(project):
    assert project.problems(trainer("\n      {from: latest_blessed}")) == (
        "p.yaml:8:14: step 'trainer' starts from the latest blessed model, and no step looks it up\n"
        "    8 |       {from: latest_blessed}}\n"
        "      |              ^^^^^^^^^^^^^^\n"
        "      received: latest_blessed\n"
        "      next: add the step  baseline: {component: Resolver, with: {strategy: latest_blessed}}  and under "
        "'trainer' write  inputs: {base_model: baseline.model}\n"
        "\n"
        "1 problem in p.yaml; nothing was run."
    )


def test_the_latest_blessed_model_with_its_wire(project):
    graph = project.graph(trainer("{from: latest_blessed}", "{base_model: baseline.model}"))
    assert [str(wire) for wire in graph.steps["trainer"].inputs["base_model"]] == ["baseline.model"]


@pytest.mark.parametrize(
    ("source", "received"),
    [
        ("models/old.keras", "{project}/models/old.keras"),
        ("models", "{project}/models"),
        ("/nowhere/old.keras", "/nowhere/old.keras"),
        ("gs://bucket/old.keras", "gs://bucket/old.keras"),
    ],
)
def test_a_model_that_is_not_there(project, source, received):
    project.write("models/readme", "")
    text = project.problems(trainer(f"{{from: '{source}'}}"))
    assert "the model that step 'trainer' starts from is not there\n" in text
    assert f"received: {received.format(project=project.folder)}\n" in text
    assert "expected: a .keras file on this machine, or latest_blessed\n" in text
    assert text.endswith("1 problem in p.yaml; nothing was run.")


def test_a_model_that_is_there_wherever_the_command_is_run(project, monkeypatch):
    project.write("models/old.keras", "x")
    file = project.pipeline(trainer("{from: models/old.keras}"))
    monkeypatch.chdir("/")
    assert "trainer" in resolve(load(file, environ={})).steps


def test_new_weights_need_nothing(project):
    assert project.graph(trainer("null"))


CLUSTER = "{launcher: kubernetes, shared: /mnt/training, volumes: [{claim: training, path: /mnt}]IMAGE}"


def job(image=""):
    cluster = CLUSTER.replace("IMAGE", image)
    return (
        f"{EXAMPLES}  trainer:\n    component: Trainer\n"
        "    with: {model_fn: code.build_model, label: label, strategy: multi_worker_mirrored,\n"
        f"      cluster: {cluster}}}\n"
    )


def test_a_training_job_needs_an_image(project):
    told = project.problems(job())
    assert told.startswith(
        "p.yaml:8:7: step 'trainer' starts a training job on Kubernetes, and nothing says which image its pods run\n"
        "    8 |       cluster: {launcher"
    )
    assert "expected: image: an image with Penstock and the project's modules" in told
    assert "1 problem in p.yaml" in told


def test_a_training_job_with_its_image(project):
    graph = project.graph(job(", image: 'team/penstock:1'"))
    assert graph.steps["trainer"].config.cluster.image == "team/penstock:1"


@pytest.mark.parametrize(
    ("volumes", "told"),
    [
        (None, "no kubeflow.volumes"),
        ([{"claim": "training", "path": "/other"}], "kubeflow.volumes at /other"),
        ([{"claim": "training", "path": "/mnt"}], None),
    ],
)
def test_on_kubeflow_the_step_mounts_the_jobs_folder(project, volumes, told):
    loaded = load(project.pipeline(job(", image: 'team/penstock:1'")), environ={})
    graph = resolve(loaded)
    loaded.document.data["kubeflow"] = {"volumes": volumes}
    problems = list(training.steps_see_their_jobs_folder(graph, loaded.document))
    assert [problem.received for problem in problems] == ([told] if told else [])
    assert all("{claim: training, path: /mnt}" in str(problem) for problem in problems)
    assert not list(training.jobs_have_an_image(graph, loaded.document))
