"""The training job's manifest: a TFJob of Kubeflow's training operator (``kubeflow.org/v1``).

A TFJob, and not a TrainJob of Kubeflow Trainer v2: it has the roles that TensorFlow has (chief, worker, ps), sets
``TF_CONFIG`` in each pod, and tells pods that may start again by their exit code. Trainer v2 has no runtime for
TensorFlow, so it would do none of the three.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.components.trainer.cluster.topology import TaskType
from penstock.components.trainer.cluster_options import KubernetesLauncher, PodResources, wanted_restarts
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy

GROUP, VERSION, PLURAL, KIND = "kubeflow.org", "v1", "tfjobs", "TFJob"
CONTAINER = "tensorflow"
"""The operator looks for a container of this name, and sets ``TF_CONFIG`` there alone."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "penstock", "app.kubernetes.io/component": "trainer"}
JOB_LABEL = "training.kubeflow.org/job-name"
TYPE_LABEL = "training.kubeflow.org/replica-type"
INDEX_LABEL = "training.kubeflow.org/replica-index"
_NO_SIDECAR = {"sidecar.istio.io/inject": "false"}
"""Istio's proxy, which Kubeflow's namespaces add to every pod, never ends, and lets no worker reach another's port."""
_PORT = 2222
IMAGE_GROUP = 1000
"""Group that our image runs as; a volume that belongs to root would be read-only for it."""
_REPLICA_TYPES: dict[TaskType, str] = {"chief": "Chief", "worker": "Worker", "ps": "PS"}


@dataclass(frozen=True)
class Owner:
    """The step's own pod: when Kubernetes removes it, the job goes too.

    Attributes:
        name: Its name.
        uid: Its number, which no other pod ever has.
    """

    name: str
    uid: str


@dataclass(frozen=True)
class JobRequest:
    """What a training job is to be.

    Attributes:
        name: Its name, 40 characters at most: the operator adds the task's to it.
        namespace: Its namespace.
        image: Image of all pods.
        command: What all pods run.
        environment: Variables that Penstock sets, besides those of the options.
        owner: The step's own pod; None outside a cluster.
        max_restarts: How often a pod may start again, a count.
    """

    name: str
    namespace: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str]
    owner: Owner | None = None
    max_restarts: int = 0


def replicas(strategy: MultiWorkerMirroredStrategy | ParameterServerStrategy) -> dict[TaskType, int]:
    """Return how many pods of each kind train: a chief of mirrored workers is one of them."""
    if isinstance(strategy, ParameterServerStrategy):
        return {"chief": 1, "worker": strategy.workers, "ps": strategy.ps}
    others = strategy.workers - 1
    return {"chief": 1, **({"worker": others} if others else {})}


def training_job(
    request: JobRequest,
    options: KubernetesLauncher,
    strategy: MultiWorkerMirroredStrategy | ParameterServerStrategy,
) -> dict[str, Any]:
    """Return the manifest."""
    metadata: dict[str, Any] = {"name": request.name, "namespace": request.namespace, "labels": dict(MANAGED_BY)}
    if request.owner is not None:
        metadata["ownerReferences"] = [
            {"apiVersion": "v1", "kind": "Pod", "name": request.owner.name, "uid": request.owner.uid}
        ]
    run_policy: dict[str, Any] = {
        # Servers never end by themselves; the pods that have ended are kept until their logs are read.
        "cleanPodPolicy": "Running",
        "ttlSecondsAfterFinished": options.ttl,
        "backoffLimit": request.max_restarts,
    }
    if options.timeout is not None:
        run_policy["activeDeadlineSeconds"] = options.timeout
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": KIND,
        "metadata": metadata,
        "spec": {
            "runPolicy": run_policy,
            "tfReplicaSpecs": {
                _REPLICA_TYPES[kind]: _replica(request, options, kind, count)
                for kind, count in replicas(strategy).items()
            },
        },
    }


def _replica(request: JobRequest, options: KubernetesLauncher, kind: TaskType, count: int) -> dict[str, Any]:
    return {
        "replicas": count,
        "restartPolicy": wanted_restarts(options, request.max_restarts),
        "template": {
            "metadata": {
                "labels": {**options.labels, **MANAGED_BY, **_NO_SIDECAR},
                "annotations": {**options.annotations, **_NO_SIDECAR},
            },
            "spec": _pod(request, options, kind),
        },
    }


def _pod(request: JobRequest, options: KubernetesLauncher, kind: TaskType) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": CONTAINER,
        "image": request.image,
        "command": list(request.command),
        "env": _environment(request, options),
        "ports": [{"name": "tfjob-port", "containerPort": _PORT}],
        "volumeMounts": [
            {"name": f"volume-{number}", "mountPath": volume.path, "readOnly": volume.read_only}
            for number, volume in enumerate(options.volumes)
        ],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if options.image_pull_policy:
        container["imagePullPolicy"] = options.image_pull_policy
    if resources := _resources(getattr(options.resources, kind)):
        container["resources"] = resources
    pod: dict[str, Any] = {
        "securityContext": {"fsGroup": IMAGE_GROUP, "fsGroupChangePolicy": "OnRootMismatch"},
        "containers": [container],
        "volumes": [
            {
                "name": f"volume-{number}",
                "persistentVolumeClaim": {"claimName": volume.claim, "readOnly": volume.read_only},
            }
            for number, volume in enumerate(options.volumes)
        ],
    }
    if options.service_account:
        pod["serviceAccountName"] = options.service_account
    if options.node_selector:
        pod["nodeSelector"] = dict(options.node_selector)
    if options.image_pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in options.image_pull_secrets]
    return pod


def _environment(request: JobRequest, options: KubernetesLauncher) -> list[dict[str, Any]]:
    plain = {**options.environment, **request.environment}
    return [
        *({"name": name, "value": value} for name, value in sorted(plain.items())),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": value.secret, "key": value.key}}}
            for name, value in sorted(options.secrets.items())
        ),
    ]


def _resources(wanted: PodResources) -> dict[str, Any]:
    """Return what a pod asks for and is limited to, the same: a worker that gets less slows all the others down."""
    amounts: dict[str, str] = {}
    if wanted.cpu is not None:
        amounts["cpu"] = f"{wanted.cpu:g}" if isinstance(wanted.cpu, int | float) else wanted.cpu
    if wanted.memory is not None:
        amounts["memory"] = wanted.memory
    if wanted.accelerator is not None:
        amounts[wanted.accelerator.type] = str(wanted.accelerator.count)
    return {"requests": amounts, "limits": dict(amounts)} if amounts else {}
