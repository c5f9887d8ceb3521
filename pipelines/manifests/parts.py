"""What the variants have in common: the server's config files, its flags, and how pods are kept on a short lead."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penstock.pipelines.manifests.options import ManifestOptions, Placed
from penstock.pipelines.models.batching import plan_batching
from penstock.pipelines.models.follow import merged_entries
from penstock.serving.model_config import format_models, format_monitoring
from penstock.serving.official import ServeOptions, server_flags
from penstock.serving.places import CONFIG_NAME
from penstock.version import __version__

CONFIG_FOLDER = Path("/etc/penstock")
USER = 1000
_MONITORING, _BATCHING = "monitoring.config", "batching.config"
_POLL_SECONDS = 30


def labels(name: str, component: str = "model-server") -> dict[str, str]:
    """Return Kubernetes's recommended labels."""
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "penstock",
    }


def metadata(name: str, of: str, options: ManifestOptions) -> dict[str, Any]:
    """Return an object's metadata: its own name, and the labels of what it belongs to."""
    place = {"namespace": options.namespace} if options.namespace else {}
    return {"name": name, **place, "labels": {**labels(of), "app.kubernetes.io/version": __version__}}


def config_files(models: Sequence[Placed], bases: Mapping[str, str], options: ManifestOptions) -> dict[str, str]:
    """Return the server's config files.

    Args:
        models: The models.
        bases: Name of a model → its base path, as its pods see it.
        options: Whether requests are put together.

    Raises:
        ConfigError: TF Serving would refuse the models together.
    """
    found = [item.model for item in models]
    entries = [replace(entry, base_path=bases[entry.name]) for entry in merged_entries(found)]
    files = {CONFIG_NAME: format_models(entries), _MONITORING: format_monitoring()}
    if options.batching:
        files[_BATCHING] = plan_batching(found).text
    return files


def config_map(name: str, of: str, files: Mapping[str, str], options: ManifestOptions) -> dict[str, Any]:
    """Return the ConfigMap of the server's config files."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name, of, options),
        "data": dict(files),
    }


def digest(files: Mapping[str, str]) -> str:
    """Return a number of the config files: another one lets the pods start anew, one after the other."""
    return hashlib.sha256("\0".join(f"{name}\0{text}" for name, text in sorted(files.items())).encode()).hexdigest()[
        :16
    ]


def flags(models: Sequence[Placed], options: ManifestOptions, ports: tuple[int, int]) -> list[str]:
    """Return the server's flags.

    It does not poll its config: a label on a version that it has not loaded would make it refuse the whole file. Pods
    of a changed config are new ones.
    """
    batching = plan_batching([item.model for item in models]) if options.batching else None
    return server_flags(
        ServeOptions(
            config=CONFIG_FOLDER / CONFIG_NAME,
            host="",
            grpc_port=ports[0],
            rest_port=ports[1],
            monitoring=CONFIG_FOLDER / _MONITORING,
            batching=CONFIG_FOLDER / _BATCHING if batching else None,
            per_model_batching=batching is not None and batching.per_model,
            config_poll_seconds=0,
            file_poll_seconds=_POLL_SECONDS,
        )
    )


def resources(options: ManifestOptions) -> dict[str, Any]:
    """Return what a pod asks for; CPUs that nobody uses it may have besides."""
    return {"requests": {"cpu": options.cpu, "memory": options.memory}, "limits": {"memory": options.memory}}


def container_security() -> dict[str, Any]:
    """Return what a server's container may do: nothing."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def pod_security() -> dict[str, Any]:
    """Return who a server's pod is: TensorFlow Serving's image names no user, so it would be root."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
