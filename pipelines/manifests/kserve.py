"""The KServe variant: an InferenceService a model, with our config in place of what KServe's runtime would serve.

KServe puts the base path to ``/mnt/models`` and lets TensorFlow Serving serve its newest version. The config file that
is mounted beside it goes before that, so labels and the versions that were asked for hold here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from penstock.pipelines.manifests import parts
from penstock.pipelines.manifests.options import ManifestOptions, Placed, object_name

_MODELS = "/mnt/models"
_PORTS = (9000, 8080)
"""gRPC and REST, as KServe's runtime for TensorFlow sets them."""
_CPU_PERCENT = 70


def kserve_manifests(models: Sequence[Placed], options: ManifestOptions) -> list[dict[str, Any]]:
    """Return a ConfigMap and an InferenceService for each model.

    Raises:
        ConfigError: A name would be refused.
    """
    return [manifest for item in models for manifest in _of_model(item, options, alone=len(models) == 1)]


def _of_model(item: Placed, options: ManifestOptions, *, alone: bool) -> list[dict[str, Any]]:
    name = object_name(options.name if alone else None, [item.model])
    files = parts.config_files([item], {item.model.name: _MODELS}, options)
    return [
        parts.config_map(f"{name}-kserve-config", name, files, options),
        {
            "apiVersion": "serving.kserve.io/v1beta1",
            "kind": "InferenceService",
            "metadata": parts.metadata(name, name, options),
            "spec": {"predictor": _predictor(name, item, options, parts.digest(files))},
        },
    ]


def _predictor(name: str, item: Placed, options: ManifestOptions, digest: str) -> dict[str, Any]:
    account = {"serviceAccountName": options.service_account} if options.service_account else {}
    return {
        # KServe copies them to the pods: another config makes new ones.
        "annotations": {"penstock/config": digest},
        "minReplicas": options.replicas,
        "maxReplicas": options.max_replicas,
        "scaleMetric": "cpu",
        "scaleTarget": _CPU_PERCENT,
        **account,
        "securityContext": parts.pod_security(),
        "model": {
            "modelFormat": {"name": "tensorflow", "version": "2"},
            "protocolVersion": "v1",
            # KServe's own runtime pins an old server; this replaces its tag.
            "runtimeVersion": options.image.rpartition(":")[2],
            "storageUri": item.uri,
            "args": _further_flags(item, options),
            "resources": parts.resources(options),
            "volumeMounts": [{"name": "config", "mountPath": str(parts.CONFIG_FOLDER), "readOnly": True}],
        },
        "volumes": [{"name": "config", "configMap": {"name": f"{name}-kserve-config"}}],
    }


def _further_flags(item: Placed, options: ManifestOptions) -> list[str]:
    """Return the flags that KServe adds to those of its runtime, which has set the ports already."""
    made = parts.flags([item], options, _PORTS)
    return [flag for flag in made if not flag.startswith(("--port=", "--rest_api_port="))]
