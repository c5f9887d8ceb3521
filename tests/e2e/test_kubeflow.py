"""The digits pipeline, compiled and run as Kubeflow Pipelines runs it."""

from __future__ import annotations

import json

import pytest
from ml_metadata.proto import metadata_store_pb2 as pb

from tests.conftest import REPOSITORY
from tests.e2e.conftest import penstock
from tests.pipelines.kubeflow.cluster import Cluster

pytestmark = pytest.mark.timeout(1500)  # Nine containers, one after the other.

STEPS = ["examples", "statistics", "schema", "validator", "transform", "trainer", "evaluator", "pusher", "predictions"]


@pytest.fixture(scope="module")
def compiled(digits):
    volumes = [{"claim": "data", "path": str(digits / "data")}, {"claim": "serving", "path": str(digits / "serving")}]
    file = digits / "pipeline.yaml"
    ended = penstock(
        "compile", "configs/digits-kubeflow.yaml", "-o", str(file),
        "--set", f"kubeflow.volumes={json.dumps(volumes)}",
        "--set", f"steps.pusher.with.destination.directory={digits}/serving/digits",
        "--set", f"vars.data={digits}/data/nowhere",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return file.read_text()


@pytest.fixture(scope="module")
def cluster(digits):
    # Transform and the Trainer each need a Keras of their own, which the order of the imports decides.
    return Cluster(digits / "cluster", REPOSITORY, anew=("transform", "trainer"))


@pytest.fixture(scope="module")
def first(cluster, compiled, digits):
    return cluster.run(compiled, {"data": str(digits / "data"), "epochs": 5})


def test_every_step_runs(first):
    failed = [f"{name}: {logs[-1][-3000:]}" for name, logs in first.logs.items() if first.states[name] == "failed"]
    assert first.states == dict.fromkeys(STEPS, "ran"), "\n".join(failed)


def test_the_model_is_blessed_pushed_and_scored(first, cluster, digits):
    blessing = first.lineage.artifacts("evaluator")["blessing"]
    assert blessing.custom_properties["blessed"].double_value == 1
    pushed = first.lineage.artifacts("pusher")["pushed_model"].custom_properties
    assert (pushed["pushed"].double_value, pushed["version"].double_value) == (1, 1)
    assert pushed["pushed_destination"].string_value == f"{digits}/serving/digits/1"
    assert (digits / "serving/digits/1/saved_model.pb").is_file()
    predictions = first.lineage.artifacts("predictions")["predictions"]
    assert predictions.custom_properties["rows"].double_value == 360
    (key,) = [key for key in cluster.bucket.names(predictions.uri.partition("://")[2]) if "results-" in key]
    rows = [json.loads(line) for line in cluster.bucket.read(key).splitlines()]
    assert sum(row["outputs"].index(max(row["outputs"])) == row["label"] for row in rows) / len(rows) >= 0.93


def test_lineage_is_that_of_the_wires(first, compiled):
    import yaml

    tasks = yaml.safe_load(compiled.partition("\n---\n")[0])["root"]["dag"]["tasks"]
    assert sorted(tasks) == sorted(STEPS)
    for name, task in tasks.items():
        consumed = first.lineage.artifacts(name, pb.Event.INPUT)
        wires = {key: each["taskOutputArtifact"] for key, each in task["inputs"].get("artifacts", {}).items()}
        assert consumed.keys() == wires.keys()
        for key, wire in wires.items():
            produced = first.lineage.artifacts(wire["producerTask"])[wire["outputArtifactKey"]]
            assert (consumed[key].id, consumed[key].uri) == (produced.id, produced.uri)
    assert {artifact.uri.partition("mlpipeline")[0] for artifact in first.lineage.store.get_artifacts()} == {"minio://"}
