"""The plain variant: a Deployment of TensorFlow Serving's image, its config, a Service, and an autoscaler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from penstock.errors import ConfigError
from penstock.pipelines.manifests import parts
from penstock.pipelines.manifests.options import ManifestOptions, Placed, object_name
from penstock.serving.official import BINARY, IMAGE_PORTS

_GRPC, _REST = IMAGE_PORTS
_CPU_PERCENT = 70
_START_SECONDS = 600
_PERIOD_SECONDS = 5


def plain_manifests(models: Sequence[Placed], options: ManifestOptions) -> list[dict[str, Any]]:
    """Return a ConfigMap, a Deployment, a Service and, where the number of pods may vary, an autoscaler.

    Raises:
        ConfigError: TensorFlow Serving cannot read a base path, or would refuse the models together.
    """
    name = object_name(options.name, [item.model for item in models])
    bases = {item.model.name: _base(item) for item in models}
    files = parts.config_files(models, bases, options)
    made = [
        parts.config_map(f"{name}-config", name, files, options),
        _deployment(name, models, options, parts.digest(files)),
        _service(name, options),
    ]
    return [*made, _autoscaler(name, options)] if options.max_replicas > options.replicas else made


def _base(item: Placed) -> str:
    claim = item.claim
    if claim is not None:
        return claim.folder
    if not item.uri.startswith("gs://"):
        raise ConfigError(
            f"TensorFlow Serving's image cannot read {item.model.name}'s base path",
            where=item.uri,
            expected="gs://BUCKET/PATH or pvc://CLAIM/PATH",
            hint="--variant kserve copies from other stores; or keep the versions on a volume and add "
            f"--base {item.model.name}=pvc://CLAIM/PATH",
        )
    return item.uri


def _deployment(name: str, models: Sequence[Placed], options: ManifestOptions, digest: str) -> dict[str, Any]:
    # Where an autoscaler decides, a number here would undo its decision with every kubectl apply.
    fixed = {"replicas": options.replicas} if options.max_replicas == options.replicas else {}
    scraped = {
        "prometheus.io/scrape": "true",
        "prometheus.io/port": str(_REST),
        "prometheus.io/path": "/monitoring/prometheus/metrics",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": parts.metadata(name, name, options),
        "spec": {
            **fixed,
            "selector": {"matchLabels": parts.labels(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {
                "metadata": {
                    "labels": parts.labels(name),
                    "annotations": {"penstock/config": digest, **scraped},
                },
                "spec": _pod(name, models, options),
            },
        },
    }


def _pod(name: str, models: Sequence[Placed], options: ManifestOptions) -> dict[str, Any]:
    claims = list({item.claim.claim: item.claim for item in models if item.claim is not None}.values())
    mounts = [
        {"name": f"claim-{number}", "mountPath": claim.mount, "readOnly": True} for number, claim in enumerate(claims)
    ]
    volumes = [
        {"name": f"claim-{number}", "persistentVolumeClaim": {"claimName": claim.claim, "readOnly": True}}
        for number, claim in enumerate(claims)
    ]
    # Without a service account of its own a server has nothing to ask the cluster for.
    account = (
        {"serviceAccountName": options.service_account}
        if options.service_account
        else {"automountServiceAccountToken": False}
    )
    return {
        **account,
        "securityContext": parts.pod_security(),
        "terminationGracePeriodSeconds": 60,
        "containers": [_container(models, options, mounts)],
        "volumes": [
            {"name": "config", "configMap": {"name": f"{name}-config"}},
            {"name": "tmp", "emptyDir": {}},
            *volumes,
        ],
    }


def _container(models: Sequence[Placed], options: ManifestOptions, mounts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "name": "serving",
        "image": options.image,
        "command": [f"/usr/bin/{BINARY}"],
        "args": parts.flags(models, options, IMAGE_PORTS),
        "ports": [{"name": "grpc", "containerPort": _GRPC}, {"name": "rest", "containerPort": _REST}],
        "resources": parts.resources(options),
        "securityContext": parts.container_security(),
        "volumeMounts": [
            {"name": "config", "mountPath": str(parts.CONFIG_FOLDER), "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  A volume of the pod's own.
            *mounts,
        ],
        **_probes(models[0].model.name),
        # Endpoints learn a little later than the container that it ends.
        "lifecycle": {"preStop": {"exec": {"command": ["sleep", "5"]}}},
    }


def _probes(model: str) -> dict[str, Any]:
    """Return the probes; REST answers only when every model of the config has a version that is AVAILABLE."""
    status = {"path": f"/v1/models/{quote(model, safe='')}", "port": "rest"}
    period = {"periodSeconds": _PERIOD_SECONDS}
    return {
        "startupProbe": {"httpGet": dict(status), **period, "failureThreshold": _START_SECONDS // _PERIOD_SECONDS},
        "readinessProbe": {"httpGet": dict(status), **period, "failureThreshold": 2},
        "livenessProbe": {"tcpSocket": {"port": "grpc"}, "periodSeconds": 10, "failureThreshold": 6},
    }


def _service(name: str, options: ManifestOptions) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": parts.metadata(name, name, options),
        "spec": {
            "selector": parts.labels(name),
            "ports": [
                {"name": "grpc", "port": _GRPC, "targetPort": "grpc", "appProtocol": "grpc"},
                {"name": "http-rest", "port": _REST, "targetPort": "rest"},
            ],
        },
    }


def _autoscaler(name: str, options: ManifestOptions) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": _CPU_PERCENT}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": parts.metadata(name, name, options),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": options.replicas,
            "maxReplicas": options.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }
