"""What a container is given: KFP's fields of it, and those that only Kubernetes knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from penstock.pipelines.config import KubeflowConfig, ResourcesConfig

_UNITS = {"K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}


def container_resources(resources: ResourcesConfig) -> dict[str, Any]:
    """Return KFP's ``resources`` of a container, empty where nothing is limited.

    Every amount stands there twice: as text for KFP, and as the number that older versions of it and Vertex AI read.
    """
    found: dict[str, Any] = {}
    if resources.cpu is not None:
        text = str(resources.cpu)
        cores = int(text[:-1]) / 1000 if text.endswith("m") else float(text)
        found |= {"cpuLimit": cores, "cpuRequest": cores, "resourceCpuLimit": text, "resourceCpuRequest": text}
    if resources.memory is not None:
        gigabytes = _gigabytes(resources.memory)
        found |= {"memoryLimit": gigabytes, "memoryRequest": gigabytes}
        found |= {"resourceMemoryLimit": resources.memory, "resourceMemoryRequest": resources.memory}
    if resources.accelerator is not None:
        kind, count = resources.accelerator.type, str(resources.accelerator.count)
        found["accelerator"] = {"type": kind, "count": count, "resourceType": kind, "resourceCount": count}
    return found


def retry_policy(settings: KubeflowConfig, resources: ResourcesConfig) -> dict[str, Any] | None:
    """Return KFP's ``retryPolicy`` of a task; None where a failed step stays failed."""
    retries = settings.retries if resources.retries is None else resources.retries
    if not retries:
        return None
    return {
        "maxRetryCount": retries,
        "backoffDuration": f"{settings.retry_wait}s",
        "backoffFactor": 2.0,
        "backoffMaxDuration": "3600s",
    }


def platform(settings: KubeflowConfig, executors: Iterable[str]) -> dict[str, Any] | None:
    """Return KFP's platform document for Kubernetes, the same for every executor; None where nothing needs it."""
    each: dict[str, Any] = {}
    if settings.secrets:
        each["secretAsEnv"] = [
            {
                "secretName": value.secret,
                "secretNameParameter": _constant(value.secret),
                "keyToEnv": [{"secretKey": value.key, "envVar": name}],
                "optional": False,
            }
            for name, value in sorted(settings.secrets.items())
        ]
    if settings.volumes:
        each["pvcMount"] = [
            {"constant": volume.claim, "pvcNameParameter": _constant(volume.claim), "mountPath": volume.path}
            for volume in settings.volumes
        ]
    if settings.image_pull_secrets:
        each["imagePullSecret"] = [
            {"secretName": name, "secretNameParameter": _constant(name)} for name in settings.image_pull_secrets
        ]
    if settings.node_selector:
        each["nodeSelector"] = {"labels": dict(sorted(settings.node_selector.items()))}
    if settings.image_pull_policy:
        each["imagePullPolicy"] = settings.image_pull_policy
    if not each:
        return None
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": dict.fromkeys(sorted(executors), each)}}}}


def _gigabytes(memory: str) -> float:
    digits = memory.rstrip("KMGTi")
    return float(digits) * _UNITS[memory[len(digits) :]] / 1e9


def _constant(text: str) -> dict[str, Any]:
    return {"runtimeValue": {"constant": text}}
