"""A config becomes KFP's intermediate representation. Imports TFX."""

import json
import socket

import pytest
import yaml

from penstock.errors import ConfigError
from penstock.pipelines.config import ConfigProblems, load
from penstock.pipelines.kubeflow import Parameter, compile_pipeline
from penstock.pipelines.kubeflow.step_spec import StepSpec

TOP = """
pipeline: my_pipeline
root: minio://bucket/root
vars:
  {epochs: 5, lower: 0.9, data: /data/rows, width: 2, folder: a, nothing: null, on: true, fn: code.build_model}
kubeflow:
  image: registry/team/p:1
  retries: 2
  environment: {LEVEL: info, COUNT: 3, ON: true}
  volumes: [{claim: rows, path: /data}]
"""
STEPS = """
  examples: {component: CsvExampleGen, with: {input_base: "${vars.data}"}}
  statistics: {component: StatisticsGen, cache: false}
  schema: {component: SchemaGen, after: [statistics]}
  trainer_of_mine:
    component: Trainer
    with: {model_fn: code.build_model, label: label, epochs: "${vars.epochs}", hparams: {units: "${vars.width}"}}
    resources:
      {cpu: 500m, memory: 2Gi, accelerator: {type: nvidia.com/gpu, count: 2}, image: 'registry/gpu:1', retries: 0}
  evaluator:
    component: Evaluator
    with:
      eval_config:
        model_specs: [{label_key: label}]
        metrics_specs:
          - metrics:
              - {class_name: ExampleCount}
              - class_name: AUC
                config: {num_thresholds: 10}
                threshold: {value_threshold: {lower_bound: "${vars.lower}"}}
  pusher:
    component: Pusher
    with: {destination: {directory: "/data/${vars.folder}/models"}}
"""


@pytest.fixture
def loaded(project):
    project.write("code.py", "def build_model(context): ...\ndef tell(outcome): ...\n")
    return lambda *overrides, top=TOP, steps=STEPS: load(project.pipeline(steps, top=top), overrides, environ={})


@pytest.fixture
def compiled(loaded):
    return compile_pipeline(loaded())


def task(compiled, name):
    return compiled.spec["root"]["dag"]["tasks"][name]


def container(compiled, name):
    return compiled.spec["deploymentSpec"]["executors"][f"exec-{name}"]["container"]


def step(compiled, name):
    arguments = container(compiled, name)["args"]
    return StepSpec.loads(arguments[arguments.index("--step") + 1])


def test_names_are_what_kfp_takes(compiled):
    assert compiled.spec["pipelineInfo"] == {"name": "my-pipeline"}
    assert compiled.spec["defaultPipelineRoot"] == compiled.root == "minio://bucket/root"
    assert set(compiled.spec["root"]["dag"]["tasks"]) == {
        "examples", "statistics", "schema", "trainer-of-mine", "evaluator", "pusher",
    }  # fmt: skip
    assert task(compiled, "trainer-of-mine")["taskInfo"] == {"name": "trainer_of_mine"}


def test_kfp_takes_the_file(compiled, tmp_path):
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    for document in yaml.safe_load_all(compiled.to_yaml()):
        if "platforms" not in document:
            json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())
    file = tmp_path / "pipeline.yaml"
    file.write_text(compiled.to_yaml())
    component = components.load_component_from_file(str(file))
    assert component.name == "my-pipeline"
    inputs = component.component_spec.inputs
    assert {name: (each.type, each.default) for name, each in inputs.items()} == {
        "epochs": ("Integer", 5),
        "lower": ("Float", 0.9),
        "data": ("String", "/data/rows"),
        "width": ("Integer", 2),
        "folder": ("String", "a"),
    }


def test_the_same_config_gives_the_same_bytes_without_a_network(loaded, compiled, monkeypatch):
    def refuse(*arguments):
        raise AssertionError(f"the compiler asks {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert compile_pipeline(loaded()).to_yaml() == compiled.to_yaml()


def test_variables_become_parameters(compiled):
    assert compiled.parameters == (
        Parameter("epochs", "NUMBER_INTEGER", 5),
        Parameter("lower", "NUMBER_DOUBLE", 0.9),
        Parameter("data", "STRING", "/data/rows"),
        Parameter("width", "NUMBER_INTEGER", 2),
        Parameter("folder", "STRING", "a"),
    )
    trainer = task(compiled, "trainer-of-mine")["inputs"]["parameters"]
    assert trainer["pipelinechannel--epochs"] == {"componentInputParameter": "epochs"}
    assert json.loads(trainer["config"]["runtimeValue"]["constant"])["epochs"] == 5
    assert [(b.property, b.path, b.parts) for b in step(compiled, "trainer-of-mine").bindings] == [
        ("config", ("epochs",), (("epochs",),)),
        ("config", ("hparams", "units"), (("width",),)),
    ]
    assert [(b.path, b.parts) for b in step(compiled, "pusher").bindings] == [
        (("destination", "directory"), ("/data/", ("folder",), "/models"))
    ]
    assert "pipelinechannel--epochs" not in task(compiled, "examples")["inputs"]["parameters"]


def test_what_shapes_the_pipeline_is_compiled_in_and_told(loaded):
    function = "steps.trainer_of_mine.with.model_fn"
    compiled = compile_pipeline(
        loaded("root=gs://b/${vars.folder}", "steps.schema.cache=${vars.on}", f"{function}=${{vars.fn}}")
    )
    assert [parameter.name for parameter in compiled.parameters] == ["epochs", "lower", "data", "width"]
    again = "compile again to change it"
    assert list(compiled.notes[:3]) == [
        f"vars.folder is compiled in as a: root shapes the pipeline; {again}",
        f"vars.on is compiled in as true: steps.schema.cache shapes the pipeline; {again}",
        f"vars.fn is compiled in as code.build_model: {function} shapes the pipeline; {again}",
    ]
    destination = task(compiled, "pusher")["inputs"]["parameters"]["config"]["runtimeValue"]["constant"]
    assert json.loads(destination)["destination"]["directory"] == "/data/a/models"
    assert step(compiled, "pusher").bindings == ()


def test_a_value_that_is_kept_in_another_form_is_compiled_in(loaded):
    options = "steps.statistics.with={stats_options: {num_top_values: '${vars.width}'}}"
    compiled = compile_pipeline(loaded(options))
    assert "width" not in [parameter.name for parameter in compiled.parameters]
    assert compiled.notes[0] == (
        "vars.width is compiled in as 2: stats_options of StatisticsGen is no property that a run could set; compile "
        "again to change it"
    )


def test_wires_order_and_retries(compiled):
    evaluator = task(compiled, "evaluator")
    assert evaluator["inputs"]["artifacts"]["model"] == {
        "taskOutputArtifact": {"producerTask": "trainer-of-mine", "outputArtifactKey": "model"}
    }
    assert evaluator["dependentTasks"] == ["examples", "schema", "trainer-of-mine"]
    assert evaluator["retryPolicy"] == {
        "maxRetryCount": 2, "backoffDuration": "30s", "backoffFactor": 2.0, "backoffMaxDuration": "3600s",
    }  # fmt: skip
    assert "retryPolicy" not in task(compiled, "trainer-of-mine")
    assert task(compiled, "schema")["dependentTasks"] == ["statistics"]


def test_each_step_has_its_own_cache_switch(compiled):
    """TFX's compiler has one switch for all steps, and lets KFP reuse examples whose files changed (tfx#7733)."""
    switches = {name: each["cachingOptions"] for name, each in compiled.spec["root"]["dag"]["tasks"].items()}
    assert switches["schema"] == {"enableCache": True}
    assert switches["statistics"] == switches["examples"] == {}
    (note,) = compiled.notes
    assert note == (
        "examples will run every time: KFP looks at names and parameters, not at the data behind them, when it looks "
        "for an earlier result"
    )


def test_edited_user_code_is_another_step_for_the_cache(loaded, compiled, project):
    project.write("code.py", "def build_model(context): return 1\n")
    changed = compile_pipeline(loaded())
    different = [name for name, each in compiled.spec["root"]["dag"]["tasks"].items() if each != task(changed, name)]
    assert different == ["trainer-of-mine"]


def test_containers(compiled):
    trainer = container(compiled, "trainer-of-mine")
    assert trainer["image"] == "registry/gpu:1"
    assert trainer["command"][:2] == ["sh", "-c"]
    assert trainer["command"][2].endswith('; exec python -m penstock.pipelines.kubeflow.entrypoint "$0" "$@"')
    assert trainer["resources"] == {
        "cpuLimit": 0.5, "cpuRequest": 0.5, "resourceCpuLimit": "500m", "resourceCpuRequest": "500m",
        "memoryLimit": 2.147483648, "memoryRequest": 2.147483648,
        "resourceMemoryLimit": "2Gi", "resourceMemoryRequest": "2Gi",
        "accelerator": {
            "type": "nvidia.com/gpu", "count": "2", "resourceType": "nvidia.com/gpu", "resourceCount": "2",
        },
    }  # fmt: skip
    schema = container(compiled, "schema")
    assert schema["image"] == "registry/team/p:1"
    assert "resources" not in schema
    assert schema["env"] == [
        {"name": "COUNT", "value": "3"}, {"name": "LEVEL", "value": "info"}, {"name": "ON", "value": "true"},
    ]  # fmt: skip
    assert schema["args"][0] == "step"
    assert schema["args"][3:] == [
        "--executor-input", "{{$}}",
        "--input", "statistics={{$.inputs.artifacts['statistics'].path}}",
        "--output", "schema={{$.outputs.artifacts['schema'].path}}",
    ]  # fmt: skip


def test_beams_workers_get_urls_and_flags(loaded):
    workers = "environment_type: EXTERNAL, environment_config: 'pool:50000'"
    beam = f"beam={{runner: flink, options: {{flink_master: 'host:8081', {workers}}}}}"
    compiled = compile_pipeline(loaded(beam, "root=gs://b/r"))
    statistics, schema = container(compiled, "statistics"), container(compiled, "schema")
    assert statistics["args"][-1] == "statistics={{$.outputs.artifacts['statistics'].uri}}"
    assert schema["args"][-1] == "schema={{$.outputs.artifacts['schema'].path}}"
    assert step(compiled, "statistics").beam == (
        *("--runner=FlinkRunner", "--flink_master=host:8081"),
        *("--environment_type=EXTERNAL", "--environment_config=pool:50000"),
    )
    assert (step(compiled, "statistics").remote, step(compiled, "schema").beam) == (True, ())


def test_kubernetes_gets_secrets_by_name(loaded):
    compiled = compile_pipeline(
        loaded("kubeflow.secrets={PASSWORD: {secret: db, key: pass}}", "kubeflow.image_pull_secrets=[registry]",
               "kubeflow.node_selector={pool: training}", "kubeflow.image_pull_policy=Always")
    )  # fmt: skip
    assert compiled.platform is not None
    executors = compiled.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert set(executors) == set(compiled.spec["deploymentSpec"]["executors"])
    (secret,) = executors["exec-pusher"]["secretAsEnv"]
    assert secret["keyToEnv"] == [{"secretKey": "pass", "envVar": "PASSWORD"}]
    assert secret["secretNameParameter"] == {"runtimeValue": {"constant": "db"}}
    (volume,) = executors["exec-pusher"]["pvcMount"]
    assert (volume["mountPath"], volume["pvcNameParameter"]) == ("/data", {"runtimeValue": {"constant": "rows"}})
    assert executors["exec-pusher"]["nodeSelector"] == {"labels": {"pool": "training"}}
    assert executors["exec-pusher"]["imagePullPolicy"] == "Always"
    assert len(list(yaml.safe_load_all(compiled.to_yaml()))) == 2


def test_an_exit_handler_waits_for_all_steps(loaded):
    compiled = compile_pipeline(loaded("kubeflow.exit_handler=code.tell"))
    tasks = compiled.spec["root"]["dag"]["tasks"]
    assert set(tasks) == {"dag-steps", "exit-handler"}
    assert tasks["dag-steps"]["inputs"]["parameters"]["epochs"] == {"componentInputParameter": "epochs"}
    assert tasks["exit-handler"]["dependentTasks"] == ["dag-steps"]
    assert tasks["exit-handler"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    status = tasks["exit-handler"]["inputs"]["parameters"]["status"]
    assert status == {"taskFinalStatus": {"producerTask": "dag-steps"}}
    assert "trainer-of-mine" in compiled.spec["components"]["dag-steps"]["dag"]["tasks"]


def test_vertex_gets_one_document_and_a_run_its_parameters(loaded):
    top = TOP.replace("minio", "gs").replace("  volumes: [{claim: rows, path: /data}]\n", "")
    top = top.replace("/data/rows", "gs://bucket/rows") + "  target: vertex\n  vertex: {project: p, region: r}\n"
    compiled = compile_pipeline(
        loaded(top=top, steps=STEPS.replace("/data/$", "/gcs/bucket/$").replace("nvidia.com/gpu", "NVIDIA_L4"))
    )
    assert compiled.platform is None
    assert compiled.root == "gs://bucket/root"
    assert compiled.check_parameters({"epochs": 2}) == {"epochs": 2}
    with pytest.raises(ConfigError, match="parameter 'epochs' is an integer"):
        compiled.check_parameters({"epochs": "2"})


def test_several_wires_of_one_input(loaded, project):
    steps = """
  a: {component: CsvExampleGen, with: {input_base: /data/a}}
  b: {component: CsvExampleGen, with: {input_base: /data/b}}
  trainer:
    component: Trainer
    inputs: {examples: [a.examples, b.examples]}
    with: {model_fn: code.build_model, label: label}
"""
    compiled = compile_pipeline(loaded(steps=steps))
    assert sorted(task(compiled, "trainer")["inputs"]["artifacts"]) == ["examples--0", "examples--1"]
    assert step(compiled, "trainer").inputs["examples"].names == ("examples--0", "examples--1")


def test_without_the_block(loaded):
    with pytest.raises(ConfigError) as raised:
        compile_pipeline(
            loaded(
                top="pipeline: p\nroot: gs://b/r\nvars: {epochs: 1, lower: 0.5, data: gs://b/d, width: 1, folder: a}\n"
            )
        )
    assert raised.value.what == "the config does not say how it runs on Kubeflow"
    assert raised.value.hint == "add the block, or --set kubeflow.image=REGISTRY/IMAGE:TAG"


def test_what_cannot_run_there_is_not_compiled(loaded):
    with pytest.raises(ConfigProblems, match="cannot see the root"):
        compile_pipeline(loaded("root=runs"))
