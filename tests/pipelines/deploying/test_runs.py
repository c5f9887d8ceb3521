"""``penstock runs`` on a server: list, follow, stop."""

import json

import pytest
from kfp_server_api import V2beta1PipelineVersionReference, V2beta1Run

from penstock.errors import ConfigError
from penstock.pipelines.deploying.kubeflow_run import task_names
from tests.pipelines.deploying.conftest import spec
from tests.pipelines.deploying.kfp_server import Frame
from tests.pipelines.deploying.nodes import tasks


@pytest.fixture
def started(desk):
    """A run of the small pipeline that is under way."""
    desk.deploy("--no-wait", "--run-name", "first")
    return desk


def on(desk, *args):
    return desk.run("runs", *args, "--host", desk.host)


def test_the_runs_of_a_server(started):
    ended = V2beta1Run(run_id="run-0", display_name="zeroth", state="SUCCEEDED", created_at="2026-11-30T11:00:00Z")
    ended.finished_at = "2026-11-30T11:01:30Z"
    started.server.runs["run-0"] = ended
    answer = on(started, "list")
    assert answer.exit_code == 0
    assert answer.output.splitlines() == [
        "run-1  pending    2026-11-30 12:00:00           first",
        "run-0  succeeded  2026-11-30 11:00:00     90 s  zeroth",
    ]


def test_the_newest_come_first_and_as_many_as_asked_for(started):
    on(started, "list", "--limit", "7")
    query = started.server.asked[-1][1]
    assert "sort_by=created_at+desc" in query
    assert "page_size=7" in query


def test_pages_are_put_together(started):
    page = started.server._list_runs

    def paged(query, body):
        answer = page(query, body)
        answer.next_page_token = "" if query.get("page_token") else "more"
        return answer

    started.monkeypatch.setattr(started.server, "_list_runs", paged, raising=True)
    started.monkeypatch.setattr(
        "tests.pipelines.deploying.kfp_server._ROUTES",
        ((r"/healthz", "GET", type(started.server)._healthz), (r"/runs", "GET", lambda _, q, b: paged(q, b))),
    )
    assert len(json.loads(on(started, "list", "--json").stdout)) == 2


def test_a_server_without_runs(desk):
    assert on(desk, "list").output == f"no runs at {desk.host}\n"


def test_a_list_as_json(started):
    assert json.loads(on(started, "list", "--json").stdout) == [
        {
            "run": "run-1",
            "name": "first",
            "state": "pending",
            "started": "2026-11-30 12:00:00",
            "seconds": None,
            "page": f"{started.host}/#/runs/details/run-1",
        }
    ]


@pytest.mark.parametrize("name", ["run-1", "first"])
def test_a_run_is_stopped_by_id_or_name(started, name):
    answer = on(started, "stop", name)
    assert answer.exit_code == 0
    assert answer.output == f"run-1 is being stopped: {started.host}/#/runs/details/run-1\n"
    assert started.server.runs["run-1"].state == "CANCELING"


def test_a_run_that_has_ended_cannot_be_stopped(started):
    started.server.runs["run-1"].state = "SUCCEEDED"
    error = on(started, "stop", "run-1").exception
    assert isinstance(error, ConfigError)
    assert error.what == "the server refused to stop the run"
    assert "it has ended" in str(error.received)
    assert error.hint == f"see what runs: penstock runs list --host {started.host}"


def test_a_run_that_is_not_there(desk):
    error = on(desk, "stop", "nothing").exception
    assert error.received == "404 Not Found: Run nothing not found."
    assert error.exit_code == 2


@pytest.mark.parametrize("name", ["run-1", "first"])
def test_a_run_is_followed_with_the_steps_of_its_version(started, name):
    started.server.frames = [
        Frame("RUNNING", tasks(examples="ran", statistics="running")),
        Frame("SUCCEEDED", tasks(examples="ran", statistics="ran", **{"data-schema": "cached"})),
    ]
    answer = on(started, "follow", name)
    assert answer.exit_code == 0
    assert answer.output.splitlines()[:-1] == [
        "[1/3] ✓ examples       ran  7.0 s",
        "[2/3] ✓ statistics     ran  7.0 s",
        "[3/3] = data_schema    cached  7.0 s",
    ]
    assert answer.output.splitlines()[-1].startswith(f"{name} succeeded, followed for ")


def test_a_followed_run_that_fails_ends_with_1(started):
    started.server.frames = [Frame("FAILED", tasks(examples="failed"))]
    answer = on(started, "follow", "first", "--json")
    assert answer.exit_code == 1
    told = json.loads(answer.stdout)
    assert (told["outcome"], told["steps"][0]["state"]) == ("failed", "failed")
    assert told["steps"][0]["error"]["where"] == "examples"


def test_a_run_of_another_tool_is_followed_by_its_tasks(desk):
    desk.server.runs["r"] = V2beta1Run(run_id="r", display_name="theirs", pipeline_spec={"root": spec()["root"]})
    desk.server.frames = [Frame("SUCCEEDED", tasks(examples="ran", statistics="ran", **{"data-schema": "ran"}))]
    assert "[2/3] ✓ statistics " in on(desk, "follow", "r").output


def test_a_run_whose_version_is_gone(desk):
    version = V2beta1PipelineVersionReference(pipeline_id="p", pipeline_version_id="v")
    desk.server.runs["r"] = V2beta1Run(run_id="r", pipeline_version_reference=version)
    desk.server.answers = [("/versions/", 404, json.dumps({"code": 5, "message": "PipelineVersion not found"}))]
    assert "PipelineVersion not found" in str(on(desk, "follow", "r").exception)


def test_a_run_of_an_unknown_version_is_followed_without_its_steps(desk):
    version = V2beta1PipelineVersionReference(pipeline_id="p")
    desk.server.runs["r"] = V2beta1Run(run_id="r", pipeline_version_reference=version)
    answer = on(desk, "follow", "r")
    assert answer.exit_code == 0
    assert answer.output.startswith("r succeeded, followed for ")


def test_task_names_inside_other_tasks_come_in_an_order_in_which_they_can_run():
    inner = spec()["root"]["dag"]
    whole = {
        "root": {
            "dag": {
                "tasks": {
                    "exit-handler": {"componentRef": {"name": "comp-exit"}, "dependentTasks": ["steps"]},
                    "steps": {"componentRef": {"name": "comp-steps"}},
                }
            }
        },
        "components": {"comp-steps": {"dag": inner}, "comp-exit": {"executorLabel": "e"}},
    }
    expected = {
        "examples": "examples",
        "statistics": "statistics",
        "data-schema": "data_schema",
        "exit-handler": "exit-handler",
    }
    assert task_names(whole) == expected
    assert list(task_names({"pipeline_spec": whole})) == list(expected)


def test_task_names_follow_the_configs_order_where_it_is_known():
    assert list(task_names(spec(), ["data_schema", "examples"])) == ["data-schema", "examples", "statistics"]


def test_task_names_of_what_is_no_pipeline():
    assert task_names({}) == {}
    assert list(task_names({"root": {"dag": {"tasks": {"a": {"dependentTasks": ["a"]}}}}})) == ["a"]
