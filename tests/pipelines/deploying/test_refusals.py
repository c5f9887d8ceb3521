"""Servers that are not there, are others, refuse, or go away: one clear error each, and never the token in it."""

import json
import socket

import pytest

from penstock.pipelines.deploying import client
from tests.pipelines.deploying.conftest import TOKEN, compiled, spec
from tests.pipelines.deploying.kfp_server import HANG_UP, Frame
from tests.pipelines.deploying.nodes import tasks
from tests.ports import refusing

LOGIN = "<!DOCTYPE html><html><title>Sign in</title></html>"
RUNNING = Frame("RUNNING", tasks(examples="running"))


def body(status, message):
    return json.dumps({"code": status, "message": message, "details": []})


def test_the_token_is_sent_and_shown_nowhere(desk, token):
    desk.server.frames = [RUNNING, Frame("SUCCEEDED", tasks(examples="ran"))]
    answer = desk.deploy("--token-env", "KFP_TOKEN")
    assert answer.exit_code == 0
    assert {headers["authorization"] for _, _, headers, _ in desk.server.asked} == {f"Bearer {TOKEN}"}
    assert token not in answer.output


def test_a_wrong_token(desk, token):
    desk.monkeypatch.setenv("KFP_TOKEN", "not-that-one")
    error = desk.refused("--token-env", "KFP_TOKEN")
    assert str(error) == (
        f"{desk.host}: the server does not accept the token of KFP_TOKEN\n"
        "  received: Failed to check authorization. User identity is empty in the request header\n"
        "  next: it may have expired: set KFP_TOKEN again"
    )
    assert error.exit_code == 1


def test_no_token_where_one_is_needed(desk, token):
    error = desk.refused()
    assert error.what == "the server needs a token"
    assert error.hint.endswith("and add --token-env KFP_TOKEN")


def test_a_server_that_shows_the_token_again(desk, token):
    desk.server.answers = [("/healthz", 401, body(16, f"no user has the token {TOKEN}"))]
    assert desk.refused("--token-env", "KFP_TOKEN").received == "no user has the token ***"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (None, "--token-env: the environment variable KFP_TOKEN is not set"),
        ("", "--token-env: the environment variable KFP_TOKEN is not set"),
        ("two words", "--token-env: KFP_TOKEN holds no token: no HTTP header may have its characters"),
        ("tökén", "--token-env: KFP_TOKEN holds no token: no HTTP header may have its characters"),
    ],
)
def test_a_variable_without_a_token(desk, value, what):
    if value is None:
        desk.monkeypatch.delenv("KFP_TOKEN", raising=False)
    else:
        desk.monkeypatch.setenv("KFP_TOKEN", value)
    error = desk.refused("--token-env", "KFP_TOKEN")
    assert (error.what, error.exit_code) == (what, 2)


def test_a_user_without_the_right(desk):
    desk.server.answers = [("/pipelines", 403, body(7, "User 'ann' is not authorized: create pipelines"))]
    error = desk.refused("--namespace", "team-b")
    assert error.what == "you are not allowed to list pipelines in the namespace team-b"
    assert error.received == "User 'ann' is not authorized: create pipelines"


def test_a_login_page_with_a_refusal_is_about_the_token(desk):
    desk.server.answers = [("/healthz", 403, LOGIN)]
    error = desk.refused()
    assert (error.what, error.received) == ("the server needs a token", "a web page")


def test_nobody_listens(desk):
    with refusing() as port:
        desk.host = f"http://127.0.0.1:{port}"
        error = desk.refused()
    assert (error.where, error.what) == (desk.host, "Kubeflow Pipelines does not answer")
    assert error.received == "the connection was refused: nothing listens there"
    assert "kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80" in error.hint


def test_a_host_that_nobody_knows(desk):
    desk.host = "http://kubeflow.invalid"
    assert desk.refused().received == "no such host is known"


def test_a_server_that_takes_a_request_and_says_nothing(desk):
    desk.monkeypatch.setattr(client, "READ_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        desk.host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert desk.refused().received == "the server took the request and does not answer"


@pytest.mark.parametrize(
    ("status", "text", "received"),
    [(200, LOGIN, "a web page"), (404, LOGIN, "404 Not Found"), (200, "hello", "an answer that is no JSON")],
)
def test_another_server(desk, status, text, received):
    desk.server.answers = [("/healthz", status, text)] * 2
    error = desk.refused()
    assert error.what == "this is not the API of Kubeflow Pipelines v2"
    assert error.received == received
    assert error.expected == f"JSON from {desk.host}/apis/v2beta1/healthz"


@pytest.mark.parametrize(
    "host", ["http://ann:secret@kubeflow", "kubeflow:80", "ftp://kubeflow", "http://", "http://a b", "http://x:99999"]
)
def test_a_host_that_is_no_url(desk, host):
    desk.host = host
    error = desk.refused()
    assert error.exit_code == 2
    assert error.what in ("--host is no URL", "--host must not hold a user or a password")
    assert "secret" not in str(error)


def test_an_address_copied_from_a_browser(desk):
    desk.host = f"{desk.host}/#/pipelines"
    assert desk.deploy("--no-wait").exit_code == 0


def test_a_pipeline_that_the_server_rejects_leaves_nothing(desk):
    desk.compiles_to(compiled(spec=spec(broken=True)))
    error = desk.refused()
    assert error.what == "the server refused to take the pipeline"
    assert error.received == (
        "400 Bad Request: Failed to create a pipeline version: invalid pipeline spec: root.dag has no tasks"
    )
    assert error.exit_code == 2
    assert not desk.server.pipelines


def test_a_rejected_version_leaves_the_pipeline(desk):
    desk.deploy("--no-wait")
    desk.compiles_to(compiled(spec=spec(broken=True)))
    desk.refused()
    assert list(desk.server.pipelines) == ["pipeline-1"]


def test_an_upload_that_the_server_explains_in_its_other_form(desk):
    desk.server.answers = [("upload_version", 400, '{"error_message": "too large", "error_details": "trace"}')]
    assert desk.refused().received == "400 Bad Request: too large"


def test_a_run_that_the_server_rejects(desk):
    desk.server.answers = [("/runs", 400, body(3, "Failed to create a run: parameter epochs"))]
    error = desk.refused()
    assert error.what == "the server refused to start the run"
    assert error.received == "400 Bad Request: Failed to create a run: parameter epochs"


def test_a_connection_that_ends_while_the_run_is_started(desk):
    desk.server.answers = [("/runs", HANG_UP, "")]
    error = desk.refused()
    assert error.what == "whether the run was started is not known: the server did not answer"
    assert error.hint == f"look first, then deploy again: penstock runs list --host {desk.host}"
    assert desk.server.paths().count("POST /runs") == 1, "a run must not be started twice"


def test_a_server_that_is_overloaded(desk):
    desk.server.answers = [("/healthz", 503, body(14, "upstream connect error"))] * 10
    error = desk.refused()
    assert error.what == "the server cannot answer now"
    assert error.received == "503 Service Unavailable: upstream connect error"


def test_a_short_absence_is_waited_out(desk):
    desk.server.frames = [RUNNING, Frame("SUCCEEDED", tasks(examples="ran"))]
    desk.server.answers = [("/runs/", HANG_UP, "")] * 5 + [("/runs/", 502, LOGIN)]
    answer = desk.deploy()
    assert answer.exit_code == 0, answer.output
    assert "the server does not answer; attempt 2 in 1 s\n" in answer.output


def test_a_server_that_stays_away(desk):
    desk.server.frames = [RUNNING]
    desk.server.answers = [("/runs/", HANG_UP, "")] * 100
    answer = desk.deploy("--namespace", "mine")
    error = answer.exception
    assert error.what == "the server stays away; the run goes on without being followed"
    assert error.received == "the connection ended in the middle of an answer"
    assert error.hint == f"follow it again: penstock runs follow run-1 --host {desk.host} --namespace mine"
    assert error.exit_code == 1
    assert "the server does not answer; attempt 7 in 30 s\n" in answer.output


def test_a_token_that_expires_while_the_run_is_followed(desk, token):
    desk.server.frames = [RUNNING, RUNNING]
    desk.server.answers = []
    answer_to = desk.server.answer

    def expiring(method, path, headers, data):
        if desk.server.seen == 1:
            desk.server.token = "a newer one"
        return answer_to(method, path, headers, data)

    desk.server.answer = expiring
    error = desk.refused("--token-env", "KFP_TOKEN")
    assert error.what == ("the server does not accept the token of KFP_TOKEN; the run goes on without being followed")
    assert error.hint == (
        "it may have expired: set KFP_TOKEN again; then follow it again: "
        f"penstock runs follow run-1 --host {desk.host} --token-env KFP_TOKEN"
    )


def test_a_login_page_in_the_middle(desk):
    desk.server.frames = [RUNNING]
    desk.server.answers = [("/runs/", 200, LOGIN)] * 100
    error = desk.refused()
    assert error.what == "this is not the API of Kubeflow Pipelines v2; the run goes on without being followed"


def test_several_pipelines_of_a_name(desk):
    desk.deploy("--no-wait")
    desk.server.pipelines["another"] = desk.server.pipelines["pipeline-1"]
    assert desk.refused().what == "the server has 2 pipelines with the name small"


def test_kfps_own_settings_that_cannot_be_read(desk, tmp_path):
    file = tmp_path / "context.json"
    file.write_text("{")
    desk.monkeypatch.setattr("kfp.client.client.Client._LOCAL_KFP_CONTEXT", str(file))
    assert desk.refused().what == "kfp's own settings cannot be read"


def test_a_redirect_to_another_host_does_not_take_the_token_along(desk, token):
    """urllib3's own rule, which what is sent relies on."""
    other = type(desk.server)()
    with other.running() as elsewhere:
        desk.server.answer = lambda method, path, headers, data: (302, "text/html", f"{elsewhere}{path}")
        assert desk.deploy("--token-env", "KFP_TOKEN").exit_code == 0
    assert other.asked
    assert all("authorization" not in headers for _, _, headers, _ in other.asked)
