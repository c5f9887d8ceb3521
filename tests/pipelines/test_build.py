"""A checked graph becomes a TFX pipeline. Imports TFX."""

import json

import pytest

from penstock.pipelines.build import USER_CODE, compile_graph
from penstock.pipelines.static_import import digest

STEPS = """
  examples:
    component: CsvExampleGen
    with:
      input_base: data
      output_config: {split_config: {splits: [{name: train, hash_buckets: 3}, {name: eval, hash_buckets: 1}]}}
  statistics: {component: StatisticsGen, with: {stats_options: {sample_rate: 1, num_top_values: 5}}}
  schema: {component: SchemaGen, cache: false}
  baseline: {component: Resolver, with: {strategy: latest_blessed}}
  trainer:
    component: Trainer
    with: {model_fn: code.build_model, label: label, hparams: {units: 3}}
  evaluator:
    component: Evaluator
    after: [statistics]
    with:
      eval_config:
        model_specs: [{label_key: label}]
        options: {include_default_metrics: false}
        metrics_specs:
          - metrics:
              - class_name: AUC
                config: {num_thresholds: 10}
                threshold: {change_threshold: {direction: HIGHER_IS_BETTER, absolute: 0}}
"""


@pytest.fixture
def graph(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "import other\ndef build_model(context): ...\n")
    project.write("other.py", "")
    return project.graph(STEPS, top="pipeline: p\nroot: runs\nbeam: {options: {direct_num_workers: 1}}\n")


@pytest.fixture
def nodes(graph):
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in compile_graph(graph, "run1").nodes}


def test_steps_become_nodes_in_an_order_that_runs(nodes):
    assert set(nodes) == {"examples", "statistics", "schema", "baseline", "trainer", "evaluator"}
    order = list(nodes)
    assert order.index("trainer") < order.index("evaluator")
    assert set(nodes["evaluator"].upstream_nodes) == {"examples", "trainer", "schema", "baseline", "statistics"}


def test_protos_are_filled_field_by_field(nodes):
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    text = nodes["evaluator"].parameters.parameters["eval_config"].field_value.string_value
    config = json_format.Parse(text, config_pb2.EvalConfig())
    (metric,) = config.metrics_specs[0].metrics
    assert metric.class_name == "AUC"
    assert metric.config == '{"num_thresholds": 10}'
    assert metric.threshold.change_threshold.HasField("absolute")
    assert config.options.include_default_metrics.value is False
    splits = nodes["examples"].parameters.parameters["output_config"].field_value.string_value
    assert '"hash_buckets": 3' in splits


def test_options_objects_are_built_from_a_mapping(nodes):
    text = nodes["statistics"].parameters.parameters["stats_options_json"].field_value.string_value
    assert json.loads(text)["num_top_values"] == 5


def test_the_cache_switch_is_the_steps_own(nodes):
    enabled = {name: node.execution_options.caching_options.enable_cache for name, node in nodes.items()}
    assert enabled["schema"] is False
    assert enabled["trainer"] is True


def test_user_code_is_part_of_the_cache_key(nodes, project):
    recorded = nodes["trainer"].parameters.parameters[USER_CODE].field_value.string_value
    assert recorded == digest(["code.build_model"], project.folder)
    assert USER_CODE not in nodes["statistics"].parameters.parameters
    project.write("other.py", "changed = True\n")
    assert recorded != digest(["code.build_model"], project.folder)


def test_our_config_travels_as_one_json_parameter(nodes):
    from penstock.components.trainer.config import TrainerConfig

    config = TrainerConfig.model_validate_json(
        nodes["trainer"].parameters.parameters["config"].field_value.string_value
    )
    assert config.hparams == {"units": 3}


def test_beam_flags_reach_the_pipeline(graph):
    assert graph.beam_args == ("--runner=FnApiRunner", "--direct_running_mode=in_memory", "--direct_num_workers=1")
