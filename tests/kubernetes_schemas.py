"""Whether Kubernetes would take a manifest: custom resources by our rules, others by the official client's models.

What TFJob (kubeflow.org/v1) and InferenceService (serving.kserve.io/v1beta1) take is stated here in our own words, from
their API references, as far as Penstock writes it: whatever else a manifest has is a problem, until somebody adds it.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator
from kubernetes import client

_MODELS = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Service"): "V1Service",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("autoscaling/v2", "HorizontalPodAutoscaler"): "V2HorizontalPodAutoscaler",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
}
_COUNT = {"type": "integer", "minimum": 0}
_TEXT = {"type": "string"}
_TEXTS = {"type": "object", "additionalProperties": _TEXT}


def _closed(required: tuple[str, ...] = (), also: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    """Return the schema of an object with these properties, and with those of ``also`` whatever they hold."""
    known = {**dict.fromkeys(also, True), **properties}
    return {"type": "object", "properties": known, "required": list(required), "additionalProperties": False}


def _resource(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    required = ("apiVersion", "kind", "metadata", "spec")
    return _closed(
        required, apiVersion={"const": version}, kind={"const": kind}, metadata={"type": "object"}, spec=spec
    )


_REPLICAS = _closed(
    ("template",),
    replicas=_COUNT,
    restartPolicy={"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
    template={"type": "object"},
)
_RUN_POLICY = _closed(
    cleanPodPolicy={"enum": ["All", "Running", "None"]},
    ttlSecondsAfterFinished=_COUNT,
    activeDeadlineSeconds=_COUNT,
    backoffLimit=_COUNT,
    suspend={"type": "boolean"},
)
_ROLES = {
    "type": "object",
    "propertyNames": {"enum": ["Chief", "Master", "Worker", "PS", "Evaluator"]},
    "additionalProperties": _REPLICAS,
}
_POD = ("serviceAccountName", "securityContext", "volumes", "nodeSelector", "imagePullSecrets")
_CONTAINER = ("args", "env", "resources", "volumeMounts", "image", "readinessProbe", "securityContext")
_MODEL = _closed(
    ("modelFormat",),
    _CONTAINER,
    modelFormat=_closed(("name",), name=_TEXT, version=_TEXT),
    protocolVersion=_TEXT,
    runtime=_TEXT,
    runtimeVersion=_TEXT,
    storageUri=_TEXT,
)
_PREDICTOR = _closed(
    ("model",),
    _POD,
    annotations=_TEXTS,
    labels=_TEXTS,
    minReplicas=_COUNT,
    maxReplicas=_COUNT,
    scaleMetric={"enum": ["cpu", "memory", "concurrency", "rps"]},
    scaleTarget=_COUNT,
    model=_MODEL,
)
_CUSTOM = {
    "tfjobs": _resource(
        "kubeflow.org/v1", "TFJob", _closed(("tfReplicaSpecs",), runPolicy=_RUN_POLICY, tfReplicaSpecs=_ROLES)
    ),
    "inferenceservices": _resource(
        "serving.kserve.io/v1beta1", "InferenceService", _closed(("predictor",), predictor=_PREDICTOR)
    ),
}


def crd_problems(manifest: dict[str, Any], plural: str) -> list[str]:
    """Return what the rules say against a custom resource's manifest, its pods included; unknown keys count."""
    errors = sorted(
        Draft202012Validator(_CUSTOM[plural]).iter_errors(manifest), key=lambda error: list(map(str, error.path))
    )
    told = [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]
    return told or [text for model, part in _pods(manifest, plural) for text in _unlike(part, model)]


def _pods(manifest: dict[str, Any], plural: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the parts that Kubernetes itself has models for, with their models' names."""
    if plural == "tfjobs":
        return [("V1PodTemplateSpec", role["template"]) for role in manifest["spec"]["tfReplicaSpecs"].values()]
    predictor = manifest["spec"]["predictor"]
    container = {key: value for key, value in predictor["model"].items() if key in _CONTAINER}
    pod = {key: value for key, value in predictor.items() if key in _POD}
    return [("V1PodSpec", {**pod, "containers": [{"name": "model", **container}]})]


def model_problems(manifest: dict[str, Any]) -> list[str]:
    """Return where a built-in kind's manifest differs from what the official client's model makes of it.

    The models drop keys that they do not know, convert values, and raise where a required one is missing.
    """
    return _unlike(manifest, _MODELS[manifest["apiVersion"], manifest["kind"]])


def _unlike(manifest: dict[str, Any], model: str) -> list[str]:
    api = client.ApiClient(client.Configuration())
    made = api.sanitize_for_serialization(api._ApiClient__deserialize(manifest, model))
    return _differences(manifest, made, model)


def _differences(given: Any, made: Any, place: str) -> list[str]:
    if isinstance(given, dict) and isinstance(made, dict):
        return [
            text for key in {**given, **made} for text in _differences(given.get(key), made.get(key), f"{place}.{key}")
        ]
    if isinstance(given, list) and isinstance(made, list) and len(given) == len(made):
        pairs = enumerate(zip(given, made, strict=True))
        return [text for index, (one, other) in pairs for text in _differences(one, other, f"{place}[{index}]")]
    return [] if given == made and type(given) is type(made) else [f"{place}: {given!r} became {made!r}"]
