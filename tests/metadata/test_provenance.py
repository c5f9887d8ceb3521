"""Where a version comes from."""

import pytest

from penstock.metadata.provenance import provenance, pushed_model, pushed_to
from tests.metadata.lineage import Lineage


@pytest.fixture
def lineage(tmp_path):
    return Lineage(tmp_path / "metadata.sqlite")


def test_the_whole_story(lineage):
    lineage.push(1, "d1", run="run1")
    pushed = lineage.push(2, "d2", run="run2")
    found = provenance(lineage.file, pushed)
    assert (found.pipeline, found.pushed.run, found.pushed.step) == ("digits", "run2", "pusher")
    assert found.model is not None
    assert (found.model.step, found.model.artifact.properties["commit"]) == ("trainer", "abc123")
    assert found.model.parameters == {"config": '{"epochs": 3, "steps": null}'}
    assert [(made.artifact.uri, made.parameters["input_base"]) for made in found.data] == [("/data/1", "/raw")]
    assert [made.artifact.type for made in found.findings] == ["ModelEvaluation", "ModelBlessing", "InferenceResult"]


def test_predictions_made_with_a_pushed_version_are_its(lineage):
    first, second = lineage.push(1, "d1", run="run1"), lineage.push(2, "d2", run="run2")
    lineage.made("predictions", "run3", "InferenceResult", "/scores/late", {}, [first])
    uris = {
        version: [made.artifact.uri for made in provenance(lineage.file, version).findings]
        for version in (first, second)
    }
    assert uris[first] == ["/evaluation/1", "/blessing/1", "/scores/1", "/scores/late"]
    assert "/scores/late" not in uris[second]


def test_the_same_model_pushed_twice_is_two_versions(lineage):
    first, second = lineage.push(1, "d"), lineage.push(2, "d")
    assert pushed_model(lineage.file, "d", 1) == first
    assert pushed_model(lineage.file, "d", 2) == second
    assert pushed_model(lineage.file, "d", 3) is None
    assert pushed_model(lineage.file, "other", 1) is None


def test_a_version_by_where_it_was_pushed_to(lineage):
    lineage.push(1, "d", model_name="m", pushed_destination="gs://a/m/1")
    second = lineage.push(1, "d", model_name="m", pushed_destination="gs://b/m/1")
    assert pushed_to(lineage.file, "m", 1, "gs://b/m/1") == second
    assert pushed_to(lineage.file, "n", 1, "gs://b/m/1") is None
    assert pushed_to(lineage.file, "m", 2, "gs://b/m/1") is None


def test_a_store_in_which_nothing_was_pushed(lineage):
    lineage.made("examples", "run1", "Examples", "/data/1", {})
    assert pushed_model(lineage.file, "d", 1) is None


def test_a_pushed_model_whose_model_is_not_known(lineage):
    pushed = lineage.made("pusher", "run1", "PushedModel", "/p", {"digest": "d", "pushed_version": "1"})
    found = provenance(lineage.file, pushed)
    assert (found.model, found.ancestors, found.findings) == (None, (), ())


def test_pushed_flatbuffers_are_the_models_that_they_were_made_of(lineage):
    lineage.push(1, "d1")
    data = lineage.made("examples", "run2", "Examples", "/data/2", {})
    model = lineage.made("trainer", "run2", "Model", "/model/2", {}, [data])
    converted = lineage.made("tflite", "run2", "TFLiteModel", "/tflite/2/int8", {"mode": "int8"}, [model])
    blessing = lineage.made("evaluator", "run2", "ModelBlessing", "/blessing/2", {"blessed": 1}, [model])
    pushed = lineage.made("devices", "run2", "PushedModel", "/pushed/2", {"digest": "d2"}, [blessing, converted])
    found = provenance(lineage.file, pushed)
    assert found.model is not None
    assert found.model.artifact.uri == "/model/2"
    assert [made.artifact.uri for made in found.data] == ["/data/2"]
    assert [made.artifact.type for made in found.findings] == ["TFLiteModel", "ModelBlessing"]
