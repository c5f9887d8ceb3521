"""The training job's manifest, beside the schema that the training operator publishes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.kubernetes.manifest import JobRequest, Owner, training_job
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from tests.kubernetes_schemas import crd_problems

BASE: dict[str, Any] = {
    "launcher": "kubernetes",
    "shared": "/mnt/training",
    "volumes": [{"claim": "training", "path": "/mnt"}],
}
REQUEST = JobRequest("penstock-1", "team-a", "registry/penstock:1", ("python", "-m", "x"), {"A": "1"})
MIRRORED = MultiWorkerMirroredStrategy(name="multi_worker_mirrored", workers=3)
SERVERS = ParameterServerStrategy(name="parameter_server", workers=2, ps=1)
FULL: dict[str, Any] = {
    **BASE,
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry"],
    "service_account": "trainer",
    "resources": {
        "chief": {"cpu": 4, "memory": "16Gi"},
        "worker": {"cpu": 1.5, "memory": "8Gi", "accelerator": {"count": 2}},
        "ps": {"cpu": "500m"},
    },
    "environment": {"B": "2"},
    "secrets": {"TOKEN": {"secret": "db", "key": "password"}},
    "node_selector": {"pool": "training"},
    "labels": {"team": "a"},
    "annotations": {"note": "x"},
    "timeout": 7200,
    "ttl": 60,
}


def made(options: dict[str, Any], strategy: Any = MIRRORED, request: JobRequest = REQUEST) -> dict[str, Any]:
    return training_job(request, KubernetesLauncher.model_validate(options), strategy)


def container(job: dict[str, Any], kind: str = "Chief") -> dict[str, Any]:
    (only,) = job["spec"]["tfReplicaSpecs"][kind]["template"]["spec"]["containers"]
    return dict(only)


def test_the_job_is_as_the_operator_takes_it() -> None:
    owned = JobRequest("p", "n", "i", ("python",), {}, Owner("step", "uid"), 3)
    for options in (BASE, FULL):
        for strategy in (MIRRORED, SERVERS):
            assert crd_problems(made(options, strategy, owned), "tfjobs") == []


def test_a_slip_would_be_seen() -> None:
    job = made(BASE)
    job["spec"]["tfReplicaSpecs"]["Chief"]["replica"] = 1
    job["spec"]["runPolicy"]["ttlSecondsAfterFinished"] = "60"
    told = crd_problems(job, "tfjobs")
    assert any("'replica' was unexpected" in text for text in told)
    assert any("'60' is not of type 'integer'" in text for text in told)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "restart_policy": st.sampled_from(["auto", "never", "on_failure", "exit_code"]),
            "timeout": st.integers(1, 10**6),
            "ttl": st.integers(1, 10**6),
            "environment": st.dictionaries(st.from_regex(r"[A-Z]{1,8}", fullmatch=True), st.text(max_size=20)),
            "labels": st.dictionaries(st.text(max_size=10), st.text(max_size=10)),
            "resources": st.fixed_dictionaries(
                {}, optional={"worker": st.fixed_dictionaries({"cpu": st.integers(1, 99) | st.floats(0.1, 99)})}
            ),
        },
    ),
    st.integers(0, 5),
)
def test_whatever_the_options_say_the_job_is_valid(options: dict[str, Any], restarts: int) -> None:
    options.get("environment", {}).pop("PYTHONUNBUFFERED", None)
    request = JobRequest("p", "n", "i", ("python",), {}, max_restarts=restarts)
    assert crd_problems(made({**BASE, **options}, SERVERS, request), "tfjobs") == []


def test_a_chief_of_mirrored_workers_is_one_of_them() -> None:
    replicas = made(BASE)["spec"]["tfReplicaSpecs"]
    assert {kind: spec["replicas"] for kind, spec in replicas.items()} == {"Chief": 1, "Worker": 2}


def test_servers_have_a_chief_besides() -> None:
    replicas = made(BASE, SERVERS)["spec"]["tfReplicaSpecs"]
    assert {kind: spec["replicas"] for kind, spec in replicas.items()} == {"Chief": 1, "Worker": 2, "PS": 1}


def test_resources_are_asked_for_and_limited_by_kind() -> None:
    job = made(FULL, SERVERS)
    amounts = {"cpu": "1.5", "memory": "8Gi", "nvidia.com/gpu": "2"}
    assert container(job, "Worker")["resources"] == {"requests": amounts, "limits": amounts}
    assert container(job, "Chief")["resources"]["limits"] == {"cpu": "4", "memory": "16Gi"}
    assert container(job, "PS")["resources"]["limits"] == {"cpu": "500m"}
    assert "resources" not in container(made(BASE))


def test_variables_and_secrets_by_name() -> None:
    assert container(made(FULL))["env"] == [
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
    ]


def test_volumes_are_mounted_where_the_step_has_them() -> None:
    pod = made(BASE)["spec"]["tfReplicaSpecs"]["Chief"]["template"]["spec"]
    claim = {"claimName": "training", "readOnly": False}
    assert pod["volumes"] == [{"name": "volume-0", "persistentVolumeClaim": claim}]
    assert pod["containers"][0]["volumeMounts"] == [{"name": "volume-0", "mountPath": "/mnt", "readOnly": False}]


@pytest.mark.parametrize(
    ("policy", "restarts", "word"),
    [("auto", 0, "Never"), ("auto", 2, "ExitCode"), ("never", 2, "Never"), ("on_failure", 0, "OnFailure")],
)
def test_restarts(policy: str, restarts: int, word: str) -> None:
    request = JobRequest("p", "n", "i", ("python",), {}, max_restarts=restarts)
    job = made({**BASE, "restart_policy": policy}, MIRRORED, request)
    assert {spec["restartPolicy"] for spec in job["spec"]["tfReplicaSpecs"].values()} == {word}
    assert job["spec"]["runPolicy"]["backoffLimit"] == restarts


def test_what_ends_goes_away() -> None:
    assert made(FULL)["spec"]["runPolicy"] == {
        "cleanPodPolicy": "Running",
        "ttlSecondsAfterFinished": 60,
        "backoffLimit": 0,
        "activeDeadlineSeconds": 7200,
    }


def test_no_proxy_is_put_into_the_pods() -> None:
    metadata = made(FULL)["spec"]["tfReplicaSpecs"]["Worker"]["template"]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"] == {"note": "x", "sidecar.istio.io/inject": "false"}
    assert metadata["labels"]["team"] == "a"
