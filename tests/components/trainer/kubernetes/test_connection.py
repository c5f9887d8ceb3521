"""The way to the cluster, and what it answers instead of doing what it was asked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.components.trainer.kubernetes import connection as module
from penstock.components.trainer.kubernetes.connection import connect
from penstock.components.trainer.kubernetes.manifest import Owner
from penstock.errors import ConfigError, EnvironmentProblem
from tests.components.trainer.kubernetes.cluster import FakeCluster
from tests.components.trainer.kubernetes.conftest import Training

CREATE = "POST /apis/kubeflow.org"
GET = "GET /apis/kubeflow.org"


@pytest.fixture
def pod(training: Training, cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Training:
    """A training whose step runs in a pod of the cluster."""
    from kubernetes.config import incluster_config

    account = tmp_path / "serviceaccount"
    account.mkdir()
    for name, text in {"token": "pods-token", "ca.crt": "none", "namespace": "kubeflow-user"}.items():
        (account / name).write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "SERVICE_ACCOUNT", account)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(account / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(account / "ca.crt"))
    for name, value in {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(cluster.port)}.items():
        monkeypatch.setenv(name, value)
        training.environ[name] = value
    # The stand-in speaks no TLS.
    plain = incluster_config.InClusterConfigLoader._load_config

    def load(loader: incluster_config.InClusterConfigLoader) -> None:
        plain(loader)
        loader.host = loader.host.replace("https:", "http:")
        loader.ssl_ca_cert = None

    monkeypatch.setattr(incluster_config.InClusterConfigLoader, "_load_config", load)
    training.environ |= {"KFP_POD_NAME": "step-1", "KFP_POD_UID": "uid-1"}
    del training.options["kubeconfig"]
    return training


def test_in_a_pod_its_service_account_is_used(pod: Training, cluster: FakeCluster) -> None:
    pod.run()
    assert set(cluster.tokens) == {"bearer pods-token"}
    assert cluster.created[0]["metadata"]["namespace"] == "kubeflow-user"


def test_the_steps_pod_owns_the_job(pod: Training, cluster: FakeCluster) -> None:
    pod.run()
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "step-1", "uid": "uid-1"}
    assert cluster.created[0]["metadata"]["ownerReferences"] == [owner]


def test_no_owner_in_another_namespace(pod: Training, cluster: FakeCluster) -> None:
    pod.options["namespace"] = "training"
    pod.run()
    assert "ownerReferences" not in cluster.created[0]["metadata"]


def test_the_steps_own_image_is_the_default(pod: Training, cluster: FakeCluster) -> None:
    del pod.options["image"]
    containers = [{"name": "wait", "image": "argo:1"}, {"name": "main", "image": "team/penstock:7"}]
    cluster.own_pod = {"metadata": {"name": "step-1"}, "spec": {"containers": containers}}
    pod.run()
    template = cluster.created[0]["spec"]["tfReplicaSpecs"]["Chief"]["template"]
    assert template["spec"]["containers"][0]["image"] == "team/penstock:7"


def test_a_kubeconfig_goes_before_the_pods_account(pod: Training, cluster: FakeCluster) -> None:
    pod.options["kubeconfig"] = str(cluster.kubeconfig(pod.folder))
    pod.run()
    assert set(cluster.tokens) == {"Bearer secret-token"}
    assert "ownerReferences" not in cluster.created[0]["metadata"]


def test_a_pod_without_a_service_account(pod: Training) -> None:
    (module.SERVICE_ACCOUNT / "token").unlink()
    with pytest.raises(ConfigError, match="this pod has no service account to reach the Kubernetes API with"):
        pod.run()


def test_a_pods_name_is_not_enough_to_own(pod: Training) -> None:
    options = pod.request.config.cluster
    assert connect(options, pod.environ).owner == Owner("step-1", "uid-1")  # type: ignore[arg-type]
    del pod.environ["KFP_POD_UID"]
    assert connect(options, pod.environ).owner is None  # type: ignore[arg-type]


def test_no_kubeconfig(training: Training) -> None:
    training.options["kubeconfig"] = str(training.folder / "nowhere")
    with pytest.raises(ConfigError, match="there is no way to a Kubernetes cluster") as caught:
        training.run()
    assert caught.value.where == training.options["kubeconfig"]


def test_an_unknown_context(training: Training) -> None:
    training.options["context"] = "there"
    with pytest.raises(ConfigError, match="there is no way to a Kubernetes cluster") as caught:
        training.run()
    assert "with context there" in str(caught.value)
    assert "there" in (caught.value.received or "")


def test_nobody_answers(training: Training, cluster: FakeCluster) -> None:
    cluster.silent = 1
    with pytest.raises(EnvironmentProblem, match="the Kubernetes API cannot be reached to look at the training job"):
        training.run()


@pytest.mark.parametrize(
    ("call", "status", "cause", "told"),
    [
        (GET, 401, EnvironmentProblem, "does not know who asks to look at the training job"),
        (CREATE, 403, EnvironmentProblem, "the cluster forbids this step to create the training job"),
        (CREATE, 404, EnvironmentProblem, "the cluster knows no TFJob"),
        (CREATE, 409, EnvironmentProblem, "another step has just started the same training"),
        (CREATE, 422, ConfigError, "the cluster refuses to create the training job"),
        (CREATE, 400, ConfigError, "the cluster refuses to create the training job"),
        (CREATE, 503, EnvironmentProblem, "the Kubernetes API cannot create the training job now"),
        ("GET /api/v1/namespaces/team-a/pods", 403, EnvironmentProblem, "forbids this step to list the job's pods"),
    ],
)
def test_what_a_cluster_refuses(
    training: Training, cluster: FakeCluster, call: str, status: int, cause: type[Exception], told: str
) -> None:
    cluster.broken[call] = (status, "because of this")
    with pytest.raises(cause, match=told) as caught:
        training.run()
    assert "because of this" in str(caught.value) or status == 409
    assert cluster.jobs == {}
    assert not training.job_folder.exists()


def test_the_api_says_what_is_wrong_with_the_manifest(training: Training, cluster: FakeCluster) -> None:
    cluster.broken[CREATE] = (422, 'spec.tfReplicaSpecs[Worker]: Invalid value: "9 GB"')
    with pytest.raises(ConfigError) as caught:
        training.run()
    assert 'received: 422: spec.tfReplicaSpecs[Worker]: Invalid value: "9 GB"' in str(caught.value)
