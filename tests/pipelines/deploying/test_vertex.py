"""``penstock deploy --target vertex``: the requests that Google's SDK sends, on the wire, to a server of ours."""

import functools
import json

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as api
from google.protobuf.json_format import MessageToDict

from penstock.errors import PenstockError
from penstock.pipelines.deploying import follow, terminal
from tests.pipelines.deploying.conftest import STEPS, compiled, spec
from tests.pipelines.deploying.vertex_server import VertexServer
from tests.serving.fake_server import http_server

TOP = """\
pipeline: small
root: gs://bucket/small
vars: {epochs: 2}
kubeflow:
  image: registry.example.com/small:1
  target: vertex
  service_account: runner@proj.iam.gserviceaccount.com
  vertex: {project: proj, region: europe-west4, network: projects/1/global/networks/net}
"""
PARENT = "projects/proj/locations/europe-west4"
UNKNOWN = "whether the run was started is not known: Vertex AI did not answer"
CONSOLE = "https://console.cloud.google.com/vertex-ai/locations/europe-west4/pipelines"


class VertexDesk:
    """A user's terminal, with Google's SDK pointed at a server of ours."""

    def __init__(self, server, invoke, write):
        self.server = server
        self.run = invoke
        self.write = write

    def deploy(self, *args, top=TOP):
        steps = STEPS.replace("/data/rows", "/gcs/bucket/rows")
        return self.run("deploy", str(self.write(steps, top=top)), *args)


@pytest.fixture
def bare(project, monkeypatch):
    """A machine without Google credentials."""
    from typer.testing import CliRunner

    from penstock.pipelines.cli.app import app

    home = project.folder / "home"
    home.mkdir()
    for name in ("HOME", "CLOUDSDK_CONFIG"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(
        "penstock.pipelines.cli.deploy.compile_in_worker",
        lambda loaded: compiled(target="vertex", root="gs://bucket/small"),
    )
    monkeypatch.setattr(terminal, "follow", functools.partial(follow.follow, sleep=lambda seconds: None))
    return VertexDesk(VertexServer(), lambda *args: CliRunner().invoke(app, list(args)), project.pipeline)


@pytest.fixture
def desk(bare, monkeypatch):
    from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
    from google.cloud.aiplatform_v1.services.schedule_service.transports import ScheduleServiceGrpcTransport

    monkeypatch.setattr("google.auth.default", lambda scopes=None: (AnonymousCredentials(), "other-project"))
    bucket = json.dumps({"kind": "storage#bucket", "id": "bucket", "name": "bucket", "projectNumber": "1"})
    number = "google.cloud.aiplatform.utils.resource_manager_utils.get_project_number"
    monkeypatch.setattr(number, lambda project: "1")
    with bare.server.running() as address, http_server(*[(200, bucket)] * 5) as (store, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", store)
        for transport in (PipelineServiceGrpcTransport, ScheduleServiceGrpcTransport):
            monkeypatch.setattr(transport, "create_channel", lambda *args, **options: grpc.insecure_channel(address))
        yield bare


def test_the_request_that_starts_a_run(desk):
    answer = desk.deploy("--run-name", "first", "--param", "epochs=5", "--no-wait")
    assert answer.exit_code == 0, answer.output
    (request,) = desk.server.requests("CreatePipelineJob")
    job = request.pipeline_job
    assert request.parent == PARENT
    assert request.pipeline_job_id.startswith("small-")
    assert (job.display_name, job.service_account) == ("first", "runner@proj.iam.gserviceaccount.com")
    assert job.network == "projects/1/global/networks/net"
    assert job.runtime_config.gcs_output_directory == "gs://bucket/small"
    assert MessageToDict(api.PipelineJob.pb(job).runtime_config)["parameterValues"] == {"epochs": 5.0}
    assert MessageToDict(api.PipelineJob.pb(job).pipeline_spec) == json.loads(json.dumps(spec()))


def test_what_is_said_of_it(desk):
    answer = desk.deploy("--run-name", "first", "--no-wait")
    name = desk.server.requests("CreatePipelineJob")[0].pipeline_job_id
    assert answer.output.splitlines() == [
        "compiling small for vertex://proj/europe-west4",
        f"run first: {CONSOLE}/runs/{name}?project=proj",
        "Not followed.",
        f"  follow it: penstock runs follow {name} --host vertex://proj/europe-west4",
        f"  stop it:   penstock runs stop {name} --host vertex://proj/europe-west4",
    ]


def test_a_run_is_followed(desk):
    desk.server.frames = [
        ("PENDING", {}, ""),
        ("RUNNING", {"examples": "PENDING"}, ""),
        ("RUNNING", {"examples": "SUCCEEDED", "statistics": "RUNNING"}, ""),
        ("SUCCEEDED", {"examples": "SUCCEEDED", "statistics": "SKIPPED", "data-schema": "SUCCEEDED"}, ""),
    ]
    answer = desk.deploy()
    assert answer.exit_code == 0, answer.output
    assert answer.output.splitlines()[2:-1] == [
        "[1/3] ✓ examples       ran  9.0 s",
        "[2/3] = statistics     cached  9.0 s",
        "[3/3] ✓ data_schema    ran  9.0 s",
    ]


def test_a_run_that_fails(desk):
    said = (
        "The replica workerpool0-0 exited with a non-zero status of 1. ModuleNotFoundError: No module named 'penstock'"
    )
    desk.server.frames = [("FAILED", {"examples": f"FAILED: {said}", "statistics": "NOT_TRIGGERED"}, "a task failed")]
    answer = desk.deploy()
    assert answer.exit_code == 1
    assert "[2/3] · statistics     not run (examples failed)" in answer.output
    assert "examples: the step's image has no Penstock\n" in answer.output


def test_a_run_without_a_bucket_is_said(desk, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr("google.cloud.storage.retry.DEFAULT_RETRY._timeout", 0.01)
    answer = desk.deploy("--no-wait")
    assert "Error when trying to get or create a GCS bucket for the pipeline output artifacts" in answer.output
    assert answer.exit_code == 0


def test_the_request_that_makes_a_schedule(desk):
    top = (
        TOP + '  schedule: {cron: "0 3 * * *", timezone: Europe/Berlin, end: 2027-01-01T00:00:00Z, max_concurrent: 2}\n'
    )
    answer = desk.deploy(top=top)
    assert answer.exit_code == 0, answer.output
    (request,) = desk.server.requests("CreateSchedule")
    made = request.schedule
    assert (request.parent, made.display_name, made.cron) == (PARENT, "small", "TZ=Europe/Berlin 0 3 * * *")
    assert made.end_time.isoformat() == "2027-01-01T00:00:00+00:00"
    assert (made.max_concurrent_run_count, made.allow_queueing) == (2, False)
    job = made.create_pipeline_job_request.pipeline_job
    assert job.service_account == "runner@proj.iam.gserviceaccount.com"
    assert job.runtime_config.gcs_output_directory == "gs://bucket/small"
    assert not desk.server.requests("CreatePipelineJob")
    assert answer.output.splitlines()[-1] == (
        f"schedule small: 0 3 * * * Europe/Berlin: {CONSOLE}/schedules/1?project=proj"
    )
    assert desk.deploy(top=top).output.endswith("  1 earlier schedule of this pipeline paused\n")
    assert [one.state.name for one in desk.server.schedules.values()] == ["PAUSED", "ACTIVE"]


def test_credentials_are_asked_for_only_to_submit(bare):
    answer = bare.deploy()
    error = answer.exception
    assert isinstance(error, PenstockError)
    assert answer.output == "compiling small for vertex://proj/europe-west4\n"
    assert str(error) == (
        "vertex://proj/europe-west4: there are no Google credentials, and Vertex AI lets nobody in without\n"
        "  received: no application default credentials on this machine\n"
        "  next: gcloud auth application-default login, or set GOOGLE_APPLICATION_CREDENTIALS to a key file"
    )
    assert error.exit_code == 1


@pytest.mark.parametrize(
    ("code", "message", "what", "exit_code"),
    [
        (
            grpc.StatusCode.PERMISSION_DENIED,
            "aiplatform.pipelineJobs.create",
            "you are not allowed to start the run",
            1,
        ),
        (grpc.StatusCode.UNAUTHENTICATED, "invalid credentials", "the Google credentials are not accepted", 1),
        (grpc.StatusCode.INVALID_ARGUMENT, "invalid spec", "Vertex AI refused to start the run", 2),
        (
            grpc.StatusCode.UNAVAILABLE,
            "failed to connect",
            "whether the run was started is not known: Vertex AI did not answer",
            1,
        ),
    ],
)
def test_a_refusal(desk, code, message, what, exit_code):
    desk.server.failures = {"CreatePipelineJob": (code, message)}
    error = desk.deploy().exception
    assert (error.what, error.exit_code) == (what, exit_code)
    assert message in error.received


def test_options_that_vertex_has_not(bare):
    error = bare.deploy("--host", "http://127.0.0.1").exception
    assert (error.what, error.exit_code) == ("--host is for Kubeflow; Vertex AI has none", 2)


def test_runs_are_listed_followed_and_stopped(desk):
    desk.deploy("--run-name", "first", "--no-wait")
    name = desk.server.requests("CreatePipelineJob")[0].pipeline_job_id
    host = ["--host", "vertex://proj/europe-west4"]
    assert desk.run("runs", "list", *host).output == f"{name}  pending    2026-11-30 12:00:00           first\n"
    desk.server.frames = [("SUCCEEDED", {"examples": "SUCCEEDED"}, "")]
    assert "[1/3] ✓ examples " in desk.run("runs", "follow", "first", *host).output
    assert desk.run("runs", "stop", name, *host).output.startswith(f"{name} is being stopped: {CONSOLE}/runs/{name}")
    assert [request.name for request in desk.server.requests("CancelPipelineJob")] == [f"{PARENT}/pipelineJobs/{name}"]


@pytest.mark.parametrize("host", ["vertex://", "vertex://proj", "vertex://proj/", "vertex://proj/region/more"])
def test_a_place_that_is_none(bare, host):
    assert bare.run("runs", "list", "--host", host).exception.what == "--host names no place on Vertex AI"
