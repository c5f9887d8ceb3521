"""Jobs and pods that fail: one clear error each."""

from __future__ import annotations

import json

import pytest

from penstock.components.trainer.cluster.error_files import TaskError
from penstock.components.trainer.kubernetes.patience import Patience
from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError, UserCodeError
from tests.components.trainer.kubernetes.cluster import FakeCluster, Look, Pod
from tests.components.trainer.kubernetes.conftest import Training, starting


def failing(training: Training, *pods: Pod, **told: PenstockError | TaskError) -> Look:
    """Let pods fail, and tasks say why: worker_0=error."""

    def fail(cluster: FakeCluster) -> None:
        for slug, error in told.items():
            said = error if isinstance(error, TaskError) else TaskError(error)
            text = json.dumps({"error": said.error.to_dict(), "peer_lost": said.peer_lost})
            (training.job_folder / "errors" / f"{slug.replace('_', '-')}.json").write_text(text, encoding="utf-8")
        cluster.pods = list(pods)
        cluster.condition("Failed", "TFJob team-a/x has failed because 1 Worker replica(s) failed.")

    return fail


def test_what_the_task_says_is_raised(training: Training, cluster: FakeCluster) -> None:
    cluster.script = [
        failing(
            training,
            Pod("chief", 0).ended(1),
            Pod("worker", 0).ended(1),
            worker_0=UserCodeError("model_fn 'm.build' raised ValueError: units"),
            chief_0=TaskError(EnvironmentProblem("a peer was lost"), peer_lost=True),
        )
    ]
    with pytest.raises(UserCodeError, match=r"model_fn 'm\.build' raised ValueError: units") as caught:
        training.run()
    assert caught.value.where == "worker 0"


def test_a_pod_that_ran_out_of_memory(training: Training, cluster: FakeCluster) -> None:
    worker = Pod("worker", 0, lines=["step 1", "", "step 2"]).ended(137, "OOMKilled")
    cluster.script = [
        failing(
            training,
            Pod("chief", 0).ended(1),
            worker,
            chief_0=TaskError(EnvironmentProblem("a peer was lost"), peer_lost=True),
        )
    ]
    with pytest.raises(EnvironmentProblem) as caught:
        training.run()
    text = str(caught.value)
    assert "worker 0 was killed (out of memory: raise cluster.resources)" in text
    assert "these last lines of its log:\n    step 1\n    step 2" in text
    assert "max_restarts lets pods that died go on from the last checkpoint" in text


def test_an_evicted_pod(training: Training, cluster: FakeCluster) -> None:
    worker = Pod("worker", 0, phase="Failed", state={}, reason="Evicted", message="The node was low on memory.")
    cluster.script = [failing(training, Pod("chief", 0), worker)]
    with pytest.raises(EnvironmentProblem, match="worker 0 was ended by the cluster \\(Evicted: The node was low"):
        training.run()


def test_an_evicted_pod_that_starts_again(training: Training, cluster: FakeCluster) -> None:
    training.max_restarts = 1
    gone = Pod("worker", 0, phase="Failed", state={}, reason="Evicted", message="low on memory")
    cluster.script = [
        starting(Pod("chief", 0), Pod("worker", 0)),
        starting(Pod("chief", 0), gone),
        starting(Pod("chief", 0), Pod("worker", 0, uid="second")),
        training.trained,
    ]
    training.run()
    assert training.reports == [
        "worker 0: note: was ended by the cluster (Evicted: low on memory)",
        "worker 0: note: runs again, restart 1 of 1",
    ]
    assert cluster.created[0]["spec"]["tfReplicaSpecs"]["Worker"]["restartPolicy"] == "ExitCode"


def test_a_pod_that_starts_too_often(training: Training, cluster: FakeCluster) -> None:
    training.max_restarts = 1
    cluster.script = [
        *(starting(Pod("chief", 0), Pod("worker", 0, uid=uid)) for uid in ("first", "second", "third")),
        lambda _: None,
    ]
    with pytest.raises(EnvironmentProblem, match="worker 0 started 3 times") as caught:
        training.run()
    assert "max_restarts: 1 was not enough" in str(caught.value)
    assert cluster.jobs == {}


def test_a_container_that_starts_too_often_in_its_place(training: Training, cluster: FakeCluster) -> None:
    training.options["restart_policy"] = "on_failure"
    error = ArtifactError("the examples have no label 'y'")
    cluster.script = [failing(training, Pod("chief", 0, restarts=1), chief_0=error)]
    with pytest.raises(ArtifactError, match="the examples have no label 'y'"):
        training.run()


@pytest.mark.parametrize(
    ("reason", "message", "told"),
    [
        (
            "ImagePullBackOff",
            'Back-off pulling image "x:1"',
            "the image cannot be fetched (ImagePullBackOff): Back-off",
        ),
        ("InvalidImageName", "couldn't parse", "this is no name of an image (InvalidImageName): couldn't parse"),
        ("CreateContainerConfigError", 'secret "db" not found', "a secret, key or variable that the container needs"),
    ],
)
def test_a_pod_that_can_never_start(
    training: Training, cluster: FakeCluster, reason: str, message: str, told: str
) -> None:
    cluster.script = [starting(Pod("chief", 0), Pod("worker", 0).waiting(reason, message))]
    with pytest.raises(EnvironmentProblem, match="the pod of worker 0 cannot start") as caught:
        training.run()
    assert told in str(caught.value)
    assert "kubectl describe pod penstock-" in str(caught.value)
    assert cluster.jobs == {}


def test_a_job_that_finds_no_node(training: Training, cluster: FakeCluster) -> None:
    full = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes: no gpu"}
    cluster.script = [starting(Pod("chief", 0), Pod("worker", 0, phase="Pending", state={}, conditions=[full]))]
    with pytest.raises(EnvironmentProblem, match=r"has not started within 0\.1 s") as caught:
        training.run(Patience(look=0.02, start=0.1, silence=1, logs=1))
    assert "worker 0: no node takes it (Unschedulable): 0/3 nodes: no gpu" in str(caught.value)
    assert training.reports == ["worker 0: note: waits: no node takes it (Unschedulable): 0/3 nodes: no gpu"]


def test_a_job_without_an_operator(training: Training, cluster: FakeCluster) -> None:
    cluster.script = []
    with pytest.raises(EnvironmentProblem, match="has not started within") as caught:
        training.run(Patience(look=0.02, start=0.1, silence=1, logs=1))
    assert "no pods: the training operator does not act on the job" in str(caught.value)


def test_a_job_that_somebody_removes(training: Training, cluster: FakeCluster) -> None:
    cluster.script = [starting(Pod("chief", 0)), lambda cluster: cluster.jobs.clear()]
    with pytest.raises(EnvironmentProblem, match="somebody removed the training job while it ran"):
        training.run()


def test_a_job_that_was_active_for_too_long(training: Training, cluster: FakeCluster) -> None:
    def fail(cluster: FakeCluster) -> None:
        cluster.pods = []
        cluster.condition("Failed", "Job x has failed because it was active longer than specified deadline")

    cluster.script = [fail]
    with pytest.raises(EnvironmentProblem, match="the training job failed") as caught:
        training.run()
    assert "active longer than specified deadline" in str(caught.value)
