"""What stock TFX cannot do where Kubeflow Pipelines runs it, and our entry point does; each with its issue."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.e2e.conftest import command
from tests.pipelines.kubeflow.cluster import Cluster

pytestmark = pytest.mark.timeout(1200)  # Each run is five containers, one after the other.

TOP = """
pipeline: small
root: minio://bucket/pipelines
vars: {count: 3, text: "it's {{$}} $(HOME) \\"quoted\\""}
kubeflow:
  image: registry/team/small:1
  exit_handler: parts.tell
  secrets: {PASSWORD: {secret: db, key: pass}}
"""
STEPS = """
  make: {component: parts.make, with: {count: "${vars.count}", rate: 2.0, text: "${vars.text}"}}
  look: {component: parts.look, inputs: {model: make.model}}
  check: {component: parts.check, inputs: {seen: look.seen}, with: {attempts: ATTEMPTS}, resources: {retries: 1}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    project = Project(folder)
    shutil.copyfile(Path(__file__).with_name("kubeflow_steps.py"), folder / "parts.py")
    top = f"{TOP}  environment: {{TOLD: {folder}/told.json}}\n"
    project.pipeline(STEPS.replace("ATTEMPTS", f"{folder}/attempts.txt"), top=top)
    return folder


@pytest.fixture(scope="module")
def compiled(folder):
    ended = command("compile", "p.yaml", "-o", "pipeline.yaml", cwd=folder)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return (folder / "pipeline.yaml").read_text()


@pytest.fixture(scope="module")
def cluster(folder):
    return Cluster(folder / "cluster", folder, {"db": {"pass": "hunter2"}}, anew=("make",))


@pytest.fixture(scope="module")
def first(cluster, compiled):
    return cluster.run(compiled, {"count": 4})


def content(cluster, artifact, name):
    return json.loads(cluster.bucket.read(f"{artifact.uri.partition('://')[2]}/{name}"))


def test_a_failed_step_is_tried_again(first, folder):
    assert first.states == {"make": "ran", "look": "ran", "check": "ran", "exit-handler": "ran"}
    assert len(first.logs["check"]) == 2
    assert "RuntimeError: the first attempt fails" in first.logs["check"][0]


def test_parameters_arrive_as_written(first, cluster):
    """KFP replaces placeholders in arguments, and Kubernetes variables; every number comes as a float."""
    given = content(cluster, first.lineage.artifacts("make")["model"], "given.json")
    assert given == {"count": 4, "rate": 2.0, "text": 'it\'s {{$}} $(HOME) "quoted"', "password": "hunter2"}
    assert isinstance(given["count"], int)


def test_secrets_stand_nowhere(first, compiled):
    assert "hunter2" not in compiled
    assert not any("hunter2" in log for logs in first.logs.values() for log in logs)
    assert not any("hunter2" in str(artifact) for artifact in first.lineage.store.get_artifacts())


def test_artifacts_arrive_with_types_and_properties(first, cluster):
    """KFP's driver names no type (tfx#7768, tfx#7733), and ML Metadata holds doubles alone."""
    model = first.lineage.artifacts("make")["model"]
    assert model.custom_properties["blessed"].double_value == 1.0
    seen = content(cluster, first.lineage.artifacts("look")["seen"], "seen.json")
    assert (seen["blessed"], seen["accuracy"], seen["label"]) == (1, 1.0, "digit")
    assert seen["id"] == model.id


def test_declared_properties_keep_their_types(first, folder):
    assert (folder / "attempts.txt").read_text().splitlines() == ['int 7 ["train"]'] * 2


def test_no_marker_of_a_folder_is_written(first, cluster):
    """TFX's file system writes one that KFP's launcher then makes a file of (kubeflow/pipelines#13476)."""
    model = first.lineage.artifacts("make")["model"].uri.partition("://")[2]
    assert cluster.bucket.names(model) == [f"{model}/empty", f"{model}/given.json"]
    assert not [key for key in cluster.bucket.names() if key.endswith("/")]


def test_paths_of_a_container_do_not_outlive_it(first):
    model = first.lineage.artifacts("make")["model"]
    assert model.custom_properties["place"].string_value == f"{model.uri}/given.json"


def test_the_exit_handler_is_told(first, folder):
    assert json.loads((folder / "told.json").read_text()) == [True, "SUCCEEDED", ""]


def test_again_steps_are_reused(first, cluster, compiled):
    again = cluster.run(compiled, {"count": 4})
    assert again.states | {"exit-handler": ""} == {
        "make": "cached", "look": "cached", "check": "cached", "exit-handler": "",
    }  # fmt: skip
    assert again.lineage.artifacts("make")["model"].id == first.lineage.artifacts("make")["model"].id


def test_a_failure_ends_the_run_and_the_handler_is_told(cluster, compiled, folder):
    (folder / "attempts.txt").unlink()
    (folder / "attempts.txt").mkdir()
    failed = cluster.run(compiled, {"count": 5})
    assert failed.states["check"] == "failed"
    assert len(failed.logs["check"]) == 2
    assert "Is a directory" in failed.logs["check"][0]
    assert json.loads((folder / "told.json").read_text()) == [False, "FAILED", "a task failed"]
