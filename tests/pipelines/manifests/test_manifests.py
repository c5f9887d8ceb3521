"""Manifests for Kubernetes, beside the official client's models and what KServe takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.pipelines.manifests.kserve import kserve_manifests
from penstock.pipelines.manifests.options import ManifestOptions, object_name, placed
from penstock.pipelines.manifests.plain import plain_manifests
from penstock.pipelines.models.find import Model
from penstock.serving.model_config import ModelEntry, VersionPolicy, parse_models
from penstock.serving.official import PINNED_IMAGE
from tests.conftest import REPOSITORY
from tests.kubernetes_schemas import crd_problems, model_problems

OPTIONS = ManifestOptions(PINNED_IMAGE)
EVERYTHING = ManifestOptions(PINNED_IMAGE, "team-a", "my-models", 3, 9, "500m", "4Gi", "serving-account", batching=True)


def model(name: str = "digits", base: str = "gs://bucket/digits") -> Model:
    policy = VersionPolicy("specific", versions=(1, 2))
    entry = ModelEntry(name, base, policy=policy, labels={"stable": 1, "canary": 2})
    return Model(name, base, Path("/p/models.config"), entry)


def plain(*models: Model, options: ManifestOptions = OPTIONS, bases: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    return {made["kind"]: made for made in plain_manifests(placed(models or (model(),), bases), options)}


def kserve(*models: Model, options: ManifestOptions = OPTIONS, bases: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return kserve_manifests(placed(models or (model(),), bases), options)


def container(made: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (only,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(only)


@pytest.mark.parametrize("options", [OPTIONS, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("base", ["gs://bucket/digits", "pvc://models/digits"])
def test_kubernetes_takes_the_plain_variant(options: ManifestOptions, base: str) -> None:
    made = plain(options=options, bases=(base,))
    assert set(made) == {"ConfigMap", "Deployment", "Service", "HorizontalPodAutoscaler"}
    for manifest in made.values():
        assert model_problems(manifest) == []


@pytest.mark.parametrize("options", [OPTIONS, EVERYTHING], ids=["defaults", "everything"])
@pytest.mark.parametrize("base", ["gs://bucket/digits", "pvc://models/digits", "s3://bucket/digits"])
def test_the_inference_service_is_as_kserve_takes_it(options: ManifestOptions, base: str) -> None:
    config, service = kserve(options=options, bases=(base,))
    assert model_problems(config) == []
    assert crd_problems(service, "inferenceservices") == []
    assert service["spec"]["predictor"]["model"]["storageUri"] == base


def test_the_checks_would_see_a_slip() -> None:
    deployment = plain()["Deployment"]
    deployment["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert [text for text in model_problems(deployment) if "readynessProbe" in text]
    _, service = kserve()
    service["spec"]["predictor"]["model"]["storageURI"] = "gs://x"
    assert any("'storageURI' was unexpected" in text for text in crd_problems(service, "inferenceservices"))


@given(
    st.integers(1, 9),
    st.integers(0, 9),
    st.sampled_from(["1", "250m", "2.5"]),
    st.sampled_from([None, "team-a"]),
    st.booleans(),
)
def test_whatever_is_asked_the_manifests_are_valid(
    replicas: int,
    more: int,
    cpu: str,
    namespace: str | None,
    batching: bool,  # noqa: FBT001  Hypothesis gives it.
) -> None:
    options = ManifestOptions(PINNED_IMAGE, namespace, None, replicas, replicas + more, cpu, batching=batching)
    made = plain(options=options)
    assert ("HorizontalPodAutoscaler" in made) == (more > 0)
    assert made["Deployment"]["spec"].get("replicas") == (None if more else replicas)
    for manifest in made.values():
        assert model_problems(manifest) == []


def test_the_config_is_ours() -> None:
    files = plain()["ConfigMap"]["data"]
    (entry,) = parse_models(files["models.config"])
    assert entry == model().entry
    assert "/monitoring/prometheus/metrics" in files["monitoring.config"]
    assert "batching.config" not in files


def test_batching() -> None:
    made = plain(options=EVERYTHING)
    assert "batching.config" in made["ConfigMap"]["data"]
    assert "--batching_parameters_file=/etc/penstock/batching.config" in container(made)["args"]


def test_kserve_serves_the_same_versions_and_labels() -> None:
    config, service = kserve()
    (entry,) = parse_models(config["data"]["models.config"])
    assert (entry.base_path, entry.labels, entry.policy.versions) == ("/mnt/models", {"canary": 2, "stable": 1}, (1, 2))
    predictor = service["spec"]["predictor"]
    assert predictor["model"]["runtimeVersion"] == PINNED_IMAGE.partition(":")[2]
    assert "--model_config_file=/etc/penstock/models.config" in predictor["model"]["args"]
    assert not [flag for flag in predictor["model"]["args"] if flag.startswith(("--port", "--rest_api_port"))]
    assert predictor["volumes"][0]["configMap"]["name"] == config["metadata"]["name"]


def test_a_changed_config_makes_new_pods() -> None:
    def digest(made: dict[str, dict[str, Any]]) -> str:
        return str(made["Deployment"]["spec"]["template"]["metadata"]["annotations"]["penstock/config"])

    promoted = Model("digits", "gs://bucket/digits", Path("/p"), ModelEntry("digits", "gs://bucket/digits"))
    assert digest(plain()) == digest(plain())
    assert digest(plain()) != digest(plain(promoted))
    assert "--model_config_file_poll_wait_seconds=0" in container(plain())["args"]


def test_a_claim_is_mounted_read_only() -> None:
    made = plain(bases=("pvc://models/a/digits",))
    assert 'base_path: "/models/models/a/digits"' in made["ConfigMap"]["data"]["models.config"]
    assert {"name": "claim-0", "mountPath": "/models/models", "readOnly": True} in container(made)["volumeMounts"]
    claim = {"claimName": "models", "readOnly": True}
    volumes = made["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "claim-0", "persistentVolumeClaim": claim} in volumes


def test_a_folder_that_steps_mount_a_claim_at_lies_on_the_claim() -> None:
    (found,) = placed([model(base="/serving/team/digits")], (), {"/serving": "models", "/data": "rows"})
    assert found.uri == "pvc://models/team/digits"
    (found,) = placed([model(base="/serving/digits")], ("gs://b/d",), {"/serving": "models"})
    assert found.uri == "gs://b/d"


def test_two_models_in_one_server_and_in_two_services() -> None:
    models = (model(), model("wine", "pvc://models/wine"))
    made = plain(*models)
    assert [entry.name for entry in parse_models(made["ConfigMap"]["data"]["models.config"])] == ["digits", "wine"]
    kinds = [(item["kind"], item["metadata"]["name"]) for item in kserve(*models)]
    assert kinds == [
        ("ConfigMap", "digits-kserve-config"),
        ("InferenceService", "digits"),
        ("ConfigMap", "wine-kserve-config"),
        ("InferenceService", "wine"),
    ]


def test_nothing_runs_as_root() -> None:
    pod = plain()["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert container(plain())["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert kserve()[1]["spec"]["predictor"]["securityContext"]["runAsNonRoot"] is True


def test_readiness_asks_for_the_models_status() -> None:
    assert container(plain())["readinessProbe"]["httpGet"] == {"path": "/v1/models/digits", "port": "rest"}


def test_the_service_and_the_autoscaler_meet_the_deployment() -> None:
    made = plain(options=EVERYTHING)
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert made["Service"]["spec"]["selector"].items() <= labels.items()
    assert made["Deployment"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    target = made["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", made["Deployment"]["metadata"]["name"])


def test_the_image_is_the_one_of_the_lock() -> None:
    lock = (REPOSITORY / "requirements" / "lock.txt").read_text(encoding="utf-8")
    (version,) = re.findall(r"^tensorflow-serving-api==(.+)$", lock, flags=re.MULTILINE)
    assert f"tensorflow/serving:{version}" == PINNED_IMAGE


def refused(*models: Model, bases: tuple[str, ...] = (), options: ManifestOptions = OPTIONS) -> str:
    with pytest.raises(ConfigError) as caught:
        plain(*models, bases=bases, options=options)
    return str(caught.value)


def test_a_folder_of_this_machine() -> None:
    told = refused(model(base="/home/me/serving/digits"))
    assert "digits lies in a folder of this machine, and no pod of a cluster sees that" in told
    assert "--base digits=pvc://CLAIM/digits" in told
    assert "digits lies in a folder" in refused(bases=("file:///srv/digits",))


def test_a_store_that_the_image_cannot_read() -> None:
    told = refused(bases=("s3://bucket/digits",))
    assert "TensorFlow Serving's image cannot read digits's base path" in told
    assert "--variant kserve copies from other stores" in told


def test_wrong_bases() -> None:
    assert "there is no model 'digit' to serve" in refused(bases=("digit=gs://b/digits",))
    assert "this is no folder on a volume" in refused(bases=("pvc://Models/x",))
    two = (model(), model("wine", "gs://b/wine"))
    assert "this base path does not say whose it is" in refused(*two, bases=("gs://b/x",))


def test_wrong_options() -> None:
    with pytest.raises(ConfigError, match="there cannot be fewer pods at most than at least"):
        ManifestOptions(PINNED_IMAGE, replicas=3, max_replicas=2)
    for image in ("tensorflow/serving", "registry:5000/serving", "tensorflow/serving:latest"):
        with pytest.raises(ConfigError, match="the image has no version of its own"):
            ManifestOptions(image)


def test_names() -> None:
    assert object_name(None, [model("Digits_v2.1")]) == "digits-v2-1"
    with pytest.raises(ConfigError, match="Kubernetes would refuse this name"):
        object_name(None, [model("7")])
