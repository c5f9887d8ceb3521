"""Flatbuffers beside models that are served: listed, shown, verified and pruned, and offered to no server."""

import hashlib
import json

import pytest

from penstock.pipelines.models.find import find_model, find_models
from penstock.serving.manifest import MANIFEST, Manifest
from tests.metadata.lineage import Lineage
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import push


@pytest.fixture
def devices(base):
    """Three versions of flatbuffers beside the base path of ``digits``."""
    folder = base.parent / "devices"
    for version in (1, 2, 3):
        files = {f"{mode}/model.tflite": f"{mode} {version}".encode() for mode in ("int8", "float32")}
        for name, content in files.items():
            path = folder / str(version) / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        manifest = Manifest({name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()})
        (folder / str(version) / MANIFEST).parent.mkdir()
        (folder / str(version) / MANIFEST).write_bytes(manifest.to_bytes())
    return folder


def test_list(base, devices):
    assert invoke("models", "list").output.splitlines() == [
        f"devices  versions 3, 2, 1  flatbuffers  {devices}",
        f"digits  versions 2, 1  stable → 1  asked for 1, 2  {base}",
    ]
    found = json.loads(invoke("models", "list", "--json").output)
    assert [(model["name"], model["flatbuffers"]) for model in found] == [("devices", True), ("digits", False)]


def test_show(devices, running):
    running()  # A server that runs with the config beside has nothing to do with them.
    lines = invoke("models", "show", "devices").output.splitlines()
    assert lines[:2] == [f"devices  {devices}", "  server   none: no model server reads flatbuffers"]
    digest = Manifest.from_bytes((devices / "3" / MANIFEST).read_bytes()).digest[:12]
    assert lines[2] == f"  version 3  float32, int8  digest {digest}"


def test_the_story_of_flatbuffers_and_of_their_model(base, devices, tmp_path):
    lineage = Lineage(tmp_path / "metadata.sqlite")
    digests = [Manifest.from_bytes((folder / "2" / MANIFEST).read_bytes()).digest for folder in (base, devices)]
    lineage.push(2, digests[0])
    model = lineage.made("trainer", "run1", "Model", "/model/2", {"commit": "abc123", "accuracy": 0.75})
    measured = {"metric": "accuracy", "metric_value": 0.9722, "drop": 0.00281, "size_bytes": 44048}
    earlier = {"mode": "int8", "blessed": 0, "reason": "an earlier run"}
    int8 = {"mode": "int8", "blessed": 1, "reason": "within the gate", **measured}
    float16 = {"mode": "float16", "blessed": 0, "reason": "80 kB are more than 50 kB"}
    made = [lineage.made("tflite", "run1", "TFLiteModel", "/t", facts, [model]) for facts in (earlier, int8, float16)]
    pushed = {"digest": digests[1], "pushed_version": "2", "reason": "blessed by the TFLiteConverter"}
    lineage.made("devices", "run1", "PushedModel", "/pushed/2", pushed, made[1:])

    lines = invoke("models", "show", "devices/2").output.splitlines()
    assert "  pushed    blessed by the TFLiteConverter, by digits in run run1" in lines
    assert "  training  accuracy 0.75" in lines
    assert (
        "  tflite    int8 44.0 kB accuracy 0.9722 (drop 0.00281) blessed; "
        "float16 not blessed: 80 kB are more than 50 kB"
    ) in lines
    assert "  tflite    not converted" in invoke("models", "show", "digits/2").output.splitlines()


def test_verify(devices):
    assert invoke("models", "verify", "devices").exit_code == 0
    (devices / "2" / "int8" / "model.tflite").write_bytes(b"int8 9")
    answer = invoke("models", "verify", "devices")
    assert answer.exit_code == 1
    assert answer.output.splitlines() == [
        "✓ devices 3: as it was pushed",
        "✗ devices 2: int8/model.tflite has changed",
        "✓ devices 1: as it was pushed",
    ]


def test_prune(devices):
    assert invoke("models", "prune", "devices", "--keep", 1, "--dry-run").output == (
        "Would remove version 1, version 2 of devices.\n"
    )
    assert invoke("models", "prune", "devices", "--keep", 2).output == "Removed version 1 of devices.\n"
    assert sorted(find_model("devices").versions()) == [2, 3]


@pytest.mark.parametrize(
    "command",
    [
        ("models", "promote", "devices", 2),
        ("models", "rollback", "devices"),
        ("request", "devices", "rows.json"),
        ("serve", "serving/devices"),
        ("serve", "serving/devices", "--print-command"),
    ],
)
def test_no_server_is_told_of_them(devices, command, tmp_path):
    (tmp_path / "rows.json").write_text("[]")
    assert str(invoke(*command).exception) == (
        f"{devices}: no model server reads devices: its versions are flatbuffers\n"
        "  expected: a model that was pushed as a SavedModel\n"
        f"  next: an interpreter loads {devices}/VERSION/MODE/model.tflite"
    )


def test_what_is_served_beside_them(base, devices):
    printed = invoke("serve", "--print-command").output
    assert "tensorflow_model_server" in printed
    assert str(devices) not in printed


def test_a_pipeline_that_pushes_both(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\n")
    pipeline = project.pipeline(
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
        "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
        "  tflite: {component: TFLiteConverter, with: {modes: [float32]}}\n"
        "  pusher: {component: Pusher, with: {destination: {directory: out/m}}}\n"
        "  devices: {component: Pusher, with: {destination: {tflite_directory: out/devices}}}\n"
    )
    push(project.folder / "out" / "m", 4)
    assert [(model.name, model.flatbuffers) for model in find_models([pipeline])] == [("devices", True), ("m", False)]
