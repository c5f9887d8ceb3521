"""``penstock serve --print-manifests``."""

from __future__ import annotations

import pytest
import yaml

from penstock.errors import ConfigError
from penstock.serving.model_config import parse_models
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import configure, push


@pytest.fixture
def base(project):
    folder = project.folder / "serving" / "digits"
    push(folder, 1, 2)
    configure(folder, stable=1)
    return folder


def printed(*arguments):
    answer = invoke("serve", "--print-manifests", *arguments)
    assert answer.exit_code == 0, answer.output
    return answer.stdout, [document for document in yaml.safe_load_all(answer.stdout) if document]


def test_both_variants(base):
    text, documents = printed("--base", "pvc://models/digits")
    assert [document["kind"] for document in documents] == [
        "ConfigMap",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "ConfigMap",
        "InferenceService",
    ]
    assert text.count("Apply this or the other variant, not both.") == 2


def test_one_variant_is_ready_for_kubectl(base):
    text, documents = printed("--base", "gs://b/digits", "--variant", "kserve", "--namespace", "team-a")
    assert [document["kind"] for document in documents] == ["ConfigMap", "InferenceService"]
    assert {document["metadata"]["namespace"] for document in documents} == {"team-a"}
    assert "not both" not in text


def test_the_config_survives_yaml(base):
    _, (config, *_) = printed("--base", "gs://b/digits", "--variant", "plain")
    (entry,) = parse_models(config["data"]["models.config"])
    assert (entry.base_path, entry.labels) == ("gs://b/digits", {"stable": 1})


def test_a_local_base_path_is_refused_with_the_remedy(base):
    answer = invoke("serve", "--print-manifests")
    assert isinstance(answer.exception, ConfigError)
    assert answer.exception.where == str(base)
    assert "--base digits=pvc://CLAIM/digits" in str(answer.exception)
    assert answer.stdout == ""
