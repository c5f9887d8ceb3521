"""Kubeflow's nodes → what became of each step."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp_server_api import (
    ApiClient,
    GoogleRpcStatus,
    PipelineTaskDetailChildTask,
    V2beta1PipelineTaskDetail,
    V2beta1RuntimeStatus,
)

from penstock.pipelines.deploying.tasks import progress_of
from tests.pipelines.deploying.nodes import pod, tasks


def received(*nodes):
    """Return the task details as the client makes them of an answer."""
    client = ApiClient()
    data = client.sanitize_for_serialization({"task_details": list(nodes)})
    response = type("Response", (), {"data": json.dumps(data)})()
    return client.deserialize(response, "V2beta1RunDetails").task_details


def progress(state):
    return progress_of(received(*tasks(trainer=state)), {"trainer": "trainer"})["trainer"]


@pytest.mark.parametrize(
    ("state", "phase", "seconds"),
    [
        ("driver", "pending", 0.0),
        ("pending", "pending", 7.0),
        ("running", "running", 7.0),
        ("ran", "ran", 7.0),
        ("cached", "cached", 7.0),
        ("failed", "failed", 7.0),
        ("omitted", "waiting", 0.0),
    ],
)
def test_the_nodes_of_a_step_tell_its_phase(state, phase, seconds):
    found = progress(state)
    assert (found.phase, found.seconds) == (phase, seconds)


def test_a_step_without_nodes_waits():
    assert progress_of([], {"trainer": "trainer"})["trainer"].phase == "waiting"


def test_the_failed_pod_is_the_containers_not_the_nodes():
    assert progress("failed").pod == pod("trainer")


def test_a_failed_driver_fails_the_step():
    found = progress("driver failed")
    assert (found.phase, found.reason) == ("failed", "its driver failed before the step's own container")
    assert found.pod.startswith("p-x7k2l-system-container-driver-")


def test_the_apis_words_are_kept_where_it_has_some():
    nodes = tasks(trainer="failed")
    nodes[-1].error = GoogleRpcStatus(code=13, message="exit code 1\n")
    assert progress_of(received(*nodes), {"trainer": "trainer"})["trainer"].error == "exit code 1"


def test_the_newest_state_with_an_error_speaks_for_a_task_without_one():
    nodes = tasks(trainer="failed")
    history = [V2beta1RuntimeStatus(error=GoogleRpcStatus(message=text)) for text in ("first", "second")]
    nodes[-1].state_history = [*history, V2beta1RuntimeStatus(state="FAILED")]
    assert progress_of(received(*nodes), {"trainer": "trainer"})["trainer"].error == "second"


def test_the_executors_of_later_steps_are_not_the_steps_own():
    found = progress_of(received(*tasks(a="cached", b="ran")), {"a": "a", "b": "b"})
    assert [one.phase for one in found.values()] == ["cached", "ran"]


@given(data=st.data())
def test_any_nodes_give_a_progress_of_every_step(data):
    """Names that come twice, children that are nowhere or lead round in a circle, states that are new."""
    names = st.sampled_from(["a", "a-driver", "executor", "executor(0)", "root", "", None])
    ids = st.sampled_from(["p-1", "p-x-1", "p-2", "3", None])
    states = st.sampled_from([None, "RUNNING", "FAILED", "SUCCEEDED", "SKIPPED", "PENDING", "CANCELED", "NEW"])
    child = st.builds(PipelineTaskDetailChildTask, task_id=ids, pod_name=ids)
    node = st.builds(
        V2beta1PipelineTaskDetail,
        display_name=names,
        state=states,
        pod_name=ids,
        task_id=ids,
        child_tasks=st.none() | st.lists(child, max_size=3),
    )
    nodes = data.draw(st.lists(node, max_size=6))
    assert list(progress_of(nodes, {"a": "first", "b": "second"})) == ["first", "second"]


def test_steps_keep_their_order_and_names():
    found = progress_of(received(*tasks(b="ran", a="running")), {"a": "a", "b": "b", "c-d": "c_d"})
    assert [(name, one.phase) for name, one in found.items()] == [("a", "running"), ("b", "ran"), ("c_d", "waiting")]
