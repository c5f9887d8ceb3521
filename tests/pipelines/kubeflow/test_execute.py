"""A step as its container runs it: what KFP hands over, what comes out, and what is refused. Imports TFX."""

import json
import os
import subprocess
import sys

import pytest

from penstock.errors import ArtifactError, ConfigError
from penstock.pipelines.kubeflow.artifacts import PARTS, read_artifacts, write_artifact
from penstock.pipelines.kubeflow.bindings import Binding
from penstock.pipelines.kubeflow.entrypoint import main
from penstock.pipelines.kubeflow.execute import ExecutorInput, _driven, _properties
from penstock.pipelines.kubeflow.outcome import Outcome
from penstock.pipelines.kubeflow.parameters import Parameter
from penstock.pipelines.kubeflow.step_spec import StepSpec
from penstock.pipelines.kubeflow.tasks import _command

MODEL = "tfx.types.standard_artifacts.Model"
FLATBUFFER = "penstock.components.artifacts.TFLiteModel"
PROVIDED = {"name": "flatbuffers", "uri": "minio://b/k", "type": {"schemaTitle": "penstock.TFLiteModel"}}


@pytest.fixture(autouse=True)
def _imports(monkeypatch):
    """The entry point lets modules of the working directory be imported, as a container may."""
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_several_artifacts_of_one_output_travel_as_one(tmp_path):
    """KFP has one artifact an output, and TFX's entry point takes one only; a TFLiteConverter gives one a mode."""
    from penstock.components.artifacts import TFLiteModel

    made = []
    for mode, blessed in (("int8", 1), ("float32", 0)):
        artifact = TFLiteModel()
        artifact.uri, artifact.mode, artifact.blessed = f"{tmp_path}/{mode}", mode, blessed
        artifact.drop, artifact.reason = 0.0, ""
        made.append(artifact)
    packed = write_artifact(made, PROVIDED, str(tmp_path))
    assert (packed["name"], packed["uri"], set(packed["metadata"])) == ("flatbuffers", "minio://b/k", {PARTS})
    arrived = read_artifacts({**packed, "type": {}}, FLATBUFFER, "/elsewhere")
    assert [(a.uri, a.mode, a.blessed, a.drop) for a in arrived] == [
        ("/elsewhere/int8", "int8", 1, 0.0),
        ("/elsewhere/float32", "float32", 0, 0.0),
    ]


def test_an_artifact_that_lies_elsewhere_is_refused():
    from tfx.types.standard_artifacts import Model

    artifact = Model()
    artifact.uri = "/other/model"
    with pytest.raises(ArtifactError) as raised:
        write_artifact([artifact, artifact], {}, "/pod/model")
    assert (raised.value.where, raised.value.expected) == ("/other/model", "a folder below /pod/model")


def test_stock_tfx_cannot_read_what_kfps_driver_hands_over():
    """The reason for our own reading; when this fails, TFX may have been mended (tfx#7768)."""
    from google.protobuf import json_format
    from kfp.pipeline_spec import pipeline_spec_pb2
    from tfx.orchestration.kubeflow.v2.container.kubeflow_v2_entrypoint_utils import parse_raw_artifact_dict

    handed = {"artifacts": [{"name": "5", "uri": "minio://b/k", "type": {"instanceSchema": ""}, "metadata": {}}]}
    message = json_format.ParseDict(handed, pipeline_spec_pb2.ArtifactList())
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'get'"):
        parse_raw_artifact_dict({"model": message}, {})
    (artifact,) = read_artifacts(handed["artifacts"][0], MODEL, "/minio/b/k")
    assert (type(artifact).__name__, artifact.id, artifact.uri) == ("Model", 5, "/minio/b/k")


def test_vertex_names_artifacts_by_text():
    (artifact,) = read_artifacts({"name": "projects/1/artifacts/2", "uri": "gs://b/k"}, MODEL, "/gcs/b/k")
    assert 0 < artifact.id < 1 << 63


def test_the_driver_runs_in_the_container(tmp_path):
    """TFX leaves it to a hook that only Vertex AI has: without it patterns and the fingerprint stay unresolved."""
    from tfx.types.standard_artifacts import Examples

    (tmp_path / "span-3").mkdir()
    (tmp_path / "span-3" / "rows.csv").write_text("x\n1\n")
    spec = StepSpec("examples", "x.Y", driver="tfx.components.example_gen.driver.FileBasedDriver")
    config = json.dumps({"splits": [{"name": "all", "pattern": "span-{SPAN}/*"}]})
    examples = Examples()
    found = _driven(spec, {"input_base": str(tmp_path), "input_config": config}, {"examples": [examples]})
    assert json.loads(found["input_config"])["splits"][0]["pattern"] == "span-3/*"
    assert found["span"] == 3
    assert "num_files:1" in examples.get_string_custom_property("input_fingerprint")


def test_a_parameter_that_the_component_does_not_take():
    spec = StepSpec(
        "pusher",
        "x.Y",
        config_model="penstock.components.pusher.config:PusherConfig",
        parameters=(Parameter("keep", "NUMBER_INTEGER", 3),),
        bindings=(Binding("config", ("keep_versions",), (("keep",),)),),
    )
    config = json.dumps({"destination": {"directory": "/serving/m"}, "keep_versions": 3})
    assert json.loads(_properties(spec, {"config": config, "pipelinechannel--keep": 2.0})["config"]) == {
        "destination": {"directory": "/serving/m"},
        "keep_versions": 2,
    }
    with pytest.raises(ConfigError) as raised:
        _properties(spec, {"config": config, "pipelinechannel--keep": 0.0})
    assert str(raised.value) == (
        "step 'pusher' does not take the run's parameters: keep_versions: Input should be greater than 0\n"
        "  received: keep=0\n"
        "  next: start the run again with another value"
    )
    with pytest.raises(ConfigError, match="parameter 'keep' is an integer"):
        _properties(spec, {"config": config, "pipelinechannel--keep": "two"})


@pytest.mark.parametrize(
    ("text", "message"), [("nothing", "the executor input is no JSON"), ("[]", "the executor input is no mapping")]
)
def test_an_executor_input_that_is_none(text, message, capsys):
    assert main(["exit", "--function", "a.b", "--executor-input", text]) == 2
    assert message in capsys.readouterr().err


def test_a_placeholder_that_nobody_filled(capsys):
    with pytest.raises(SystemExit):
        main(["step", "--step", "{}", "--executor-input", "{}", "--input", "a={{$.inputs.artifacts['a'].path}}"])
    assert "is no NAME=PLACE: KFP's launcher fills it in" in capsys.readouterr().err


def test_an_exit_handler_that_fails_is_told_as_the_users(project, capsys):
    project.write("handlers.py", "def fail(outcome):\n    raise ValueError(outcome.error)\n")
    status = {"state": "FAILED", "error": {"message": "out of memory"}, "pipelineJobResourceName": "r1"}
    told = json.dumps({"inputs": {"parameterValues": {"status": status}}})
    assert main(["exit", "--function", "handlers.fail", "--executor-input", told]) == 1
    error = capsys.readouterr().err
    assert "exit handler 'handlers.fail' raised ValueError: out of memory" in error
    assert "handlers.py:2 in fail" in error


def test_an_outcome():
    assert Outcome.from_status({"state": "SUCCEEDED", "pipelineJobResourceName": "r"}) == Outcome("SUCCEEDED", "r", "")
    assert Outcome.from_status({"state": "FAILED", "error": {"message": "m"}}).ok is False


def test_an_image_without_penstock_is_told_as_such(tmp_path):
    ended = subprocess.run(
        [*_command("registry/team/other:1"), "step"], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stderr == (
        "the image registry/team/other:1 holds no Penstock that its python finds\n"
        "  next: build it as penstock image --print says, push it, and name it under kubeflow: image\n"
    )


def test_inputs_that_kfp_leaves_out():
    assert ExecutorInput({}).parameters == {}
    assert ExecutorInput({}).inputs("examples") == []
