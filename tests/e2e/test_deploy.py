"""The digits pipeline, compiled for real and handed to stand-ins of Kubeflow Pipelines and Vertex AI."""

from __future__ import annotations

import json

import grpc
import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as api
from google.protobuf.json_format import MessageToDict
from kfp import components

from penstock.pipelines.deploying.vertex import Vertex, pipeline_job
from penstock.pipelines.kubeflow import Compiled
from tests.e2e.conftest import penstock
from tests.pipelines.deploying.kfp_server import Frame, KfpServer
from tests.pipelines.deploying.nodes import tasks
from tests.pipelines.deploying.vertex_server import VertexServer

STEPS = ["examples", "statistics", "schema", "validator", "transform", "trainer", "evaluator", "pusher", "predictions"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)


def test_digits_is_deployed_followed_and_found_unchanged_the_next_time():
    before = dict.fromkeys(STEPS[:5], "ran")
    server = KfpServer(
        frames=[
            Frame("RUNNING", tasks(**before, trainer="running")),
            Frame("SUCCEEDED", tasks(**dict.fromkeys(STEPS, "ran"))),
        ]
    )
    with server.running() as host:
        command = ("deploy", "configs/digits-kubeflow.yaml", "--host", host, "--param", "epochs=1")
        ended = penstock(*command)
        assert ended.returncode == 0, ended.stderr
        lines = ended.stdout.splitlines()
        assert [line.split()[2] for line in lines if line.startswith("[")] == STEPS
        again = penstock(*command, "--no-wait", "--json")
        assert json.loads(again.stdout)["published"] == "unchanged"
    (version,) = server.versions.values()
    spec = version.pipeline_spec.get("pipeline_spec", version.pipeline_spec)
    assert components.load_component_from_text(yaml.safe_dump(spec)).name == "digits"
    assert [run.runtime_config.parameters for run in server.runs.values()] == [{"epochs": 1}] * 2


def test_digits_is_compiled_for_vertex_before_credentials_are_asked_for():
    ended = penstock("deploy", "configs/digits-vertex.yaml")
    assert ended.returncode == 1
    assert ended.stdout.startswith("compiling digits for vertex://example/europe-west4\n"), ended.stdout + ended.stderr
    assert ended.stderr.startswith("vertex://example/europe-west4: there are no Google credentials"), ended.stderr


def test_the_request_that_vertex_gets_holds_the_compiled_pipeline(tmp_path, monkeypatch):
    from google.cloud.aiplatform_v1.services.pipeline_service import transports

    file = tmp_path / "pipeline.yaml"
    ended = penstock("compile", "configs/digits-vertex.yaml", "-o", str(file))
    assert ended.returncode == 0, ended.stderr
    spec = yaml.safe_load(file.read_text())
    compiled = Compiled(name="digits", target="vertex", root="gs://bucket/digits", spec=spec)
    monkeypatch.setattr("google.auth.default", lambda scopes=None: (AnonymousCredentials(), None))
    server = VertexServer()
    with server.running() as address:
        channel = lambda *args, **options: grpc.insecure_channel(address)  # noqa: E731
        monkeypatch.setattr(transports.PipelineServiceGrpcTransport, "create_channel", channel)
        job = pipeline_job(Vertex("proj", "europe-west4"), compiled, "first", {"epochs": 1}, None)
        # Without submit(), which asks Cloud Storage about the bucket first.
        parent = "projects/proj/locations/europe-west4"
        job.api_client.create_pipeline_job(parent=parent, pipeline_job=job._gca_resource, pipeline_job_id=job.job_id)
    (request,) = server.requests("CreatePipelineJob")
    sent = api.PipelineJob.pb(request.pipeline_job)
    assert MessageToDict(sent.pipeline_spec) == json.loads(json.dumps(spec))
    assert MessageToDict(sent.runtime_config)["parameterValues"] == {"epochs": 1.0}
