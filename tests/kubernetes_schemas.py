"""Whether Kubernetes would take a manifest: by published schemas, or by the official client's models."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes import client

_CRDS = Path(__file__).parent / "data" / "crds"
_MODELS = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Service"): "V1Service",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "V2HorizontalPodAutoscaler",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
}


def crd_problems(manifest: dict[str, Any], plural: str) -> list[str]:
    """Return what a custom resource's schema says against a manifest; unknown keys count."""
    errors = sorted(_validator(plural).iter_errors(manifest), key=lambda error: list(map(str, error.absolute_path)))
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def model_problems(manifest: dict[str, Any]) -> list[str]:
    """Return where a built-in kind's manifest differs from what the official client's model makes of it.

    The models drop keys that they do not know, convert values, and raise where a required one is missing.
    """
    model = _MODELS[manifest["apiVersion"], manifest["kind"]]
    api = client.ApiClient(client.Configuration())
    made = api.sanitize_for_serialization(api._ApiClient__deserialize(manifest, model))
    return list(_differences(manifest, made, model))


@cache
def _validator(plural: str) -> Draft202012Validator:
    described = json.loads((_CRDS / f"{plural}.json").read_text(encoding="utf-8"))
    schema = _as_json_schema(described["schema"])
    # Every object has it; the published schema leaves its content to Kubernetes.
    schema["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(schema)


def _as_json_schema(node: Any) -> Any:
    """Return a structural schema of Kubernetes as JSON Schema: objects are closed, int-or-string is said plainly."""
    if isinstance(node, list):
        return [_as_json_schema(item) for item in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_json_schema(value) for key, value in node.items() if not key.startswith("x-kubernetes-")}
    known = made.get("type") == "object" and isinstance(made.get("properties"), dict)
    if known and not node.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if node.get("x-kubernetes-int-or-string"):
        made.pop("type", None)
    return made


def _differences(given: Any, made: Any, place: str) -> list[str]:
    if isinstance(given, dict) and isinstance(made, dict):
        return [
            text for key in {**given, **made} for text in _differences(given.get(key), made.get(key), f"{place}.{key}")
        ]
    if isinstance(given, list) and isinstance(made, list) and len(given) == len(made):
        pairs = enumerate(zip(given, made, strict=True))
        return [text for index, (one, other) in pairs for text in _differences(one, other, f"{place}[{index}]")]
    return [] if given == made and type(given) is type(made) else [f"{place}: {given!r} became {made!r}"]
