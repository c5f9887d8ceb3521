"""A checked graph → a TFX pipeline → its intermediate representation. Imports TFX."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from penstock.errors import ConfigError, UserCodeError
from penstock.paths import shown_path
from penstock.pipelines.catalog import ComponentType, ValueType
from penstock.pipelines.engines.names import AUTO, JOB_ENDPOINT, SETUP_FILE, engine_of, needs_job_server
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.introspect import describe
from penstock.pipelines.resolver import ResolverConfig
from penstock.pipelines.static_import import digest
from penstock.pipelines.values import to_message_data
from penstock.user_code import import_function

# The execution property that holds the digest of the user code behind a step. It makes an edited function run again:
# TFX's own cache key holds a function's import path, not its content.
USER_CODE = "user_code"


def import_and_describe(import_path: str) -> ComponentType:
    """Import a component that is not built in and describe it.

    Raises:
        ConfigError: It cannot be imported, or is no component.
    """
    try:
        component = import_function(import_path)
    except UserCodeError as error:
        last = error.frames[-1] if error.frames else None
        raise ConfigError(
            error.what,
            received=f"{shown_path(last.file)}:{last.line} in {last.function}" if last else error.received,
            expected=error.expected,
            hint=error.hint,
        ) from error
    return describe(component, name=import_path, import_path=import_path)


def build(graph: Graph) -> Any:
    """Return the ``tfx.dsl.Pipeline`` that ``graph`` describes.

    Raises:
        ConfigError: A component refused its parameters; ``where`` names the step.
    """
    from tfx.orchestration import metadata
    from tfx.orchestration.pipeline import Pipeline

    nodes = build_nodes(graph)
    for step in graph.steps.values():
        for other in step.after:
            nodes[step.name].add_upstream_node(nodes[other])
    return Pipeline(
        pipeline_name=graph.name,
        pipeline_root=graph.root,
        components=list(nodes.values()),
        enable_cache=True,
        metadata_connection_config=(
            graph.server.without_password()
            if graph.server
            else metadata.sqlite_metadata_connection_config(graph.sqlite)
        ),
        beam_pipeline_args=_beam_flags(graph),
    )


def build_nodes(graph: Graph) -> dict[str, Any]:
    """Return the TFX components of the steps, by step.

    Raises:
        ConfigError: A component refused its parameters; ``where`` names the step.
    """
    nodes: dict[str, Any] = {}
    for step in graph.steps.values():
        nodes[step.name] = _node(step, nodes)
    return nodes


def compile_graph(graph: Graph, run_id: str) -> Any:
    """Return the intermediate representation (``pipeline_pb2.Pipeline``) of one run, steps' cache switches included."""
    from tfx.dsl.compiler.compiler import Compiler
    from tfx.orchestration.portable.runtime_parameter_utils import substitute_runtime_parameter

    ir = Compiler().compile(build(graph))
    substitute_runtime_parameter(ir, {"pipeline-run-id": run_id})
    for node in ir.nodes:
        step = graph.steps[node.pipeline_node.node_info.id]
        node.pipeline_node.execution_options.caching_options.enable_cache = step.cache
        code = digest(step.functions, graph.project)
        if code:
            node.pipeline_node.parameters.parameters[USER_CODE].field_value.string_value = code
    return ir


def _beam_flags(graph: Graph) -> list[Any]:
    """Return Beam's flags; what only a run knows comes from the step's environment, so it is no part of a cache key."""
    from tfx.dsl.placeholder import placeholder

    flags: list[Any] = [flag for flag in graph.beam_args if flag != f"--setup_file={AUTO}"]
    if len(flags) < len(graph.beam_args):
        flags.append("--setup_file=" + placeholder.environment_variable(SETUP_FILE))
    if needs_job_server(engine_of(graph.beam.runner), graph.beam.options):
        flags.append("--job_endpoint=" + placeholder.environment_variable(JOB_ENDPOINT))
    return flags


def _node(step: Step, nodes: Mapping[str, Any]) -> Any:
    if isinstance(step.config, ResolverConfig):
        return _resolver(step, step.config)
    component = _import(step.type.import_path)  # First: it registers the messages of its parameters.
    arguments: dict[str, Any] = {
        name: _channel([nodes[wire.step].outputs[wire.output] for wire in wires]) for name, wires in step.inputs.items()
    }
    if step.config is not None:
        arguments["config"] = step.config
    for name, value in step.parameters.items():
        if value is not None:
            declared = step.type.parameters.get(name)
            arguments[name] = _argument(value, declared.type) if declared else value
    try:
        return component(**arguments).with_id(step.name)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise ConfigError(f"{step.type.name} refuses its parameters: {error}", where=f"steps.{step.name}") from error


def _channel(channels: Sequence[Any]) -> Any:
    from tfx.types.channel_utils import union

    return channels[0] if len(channels) == 1 else union(channels)


def _resolver(step: Step, config: ResolverConfig) -> Any:
    from tfx.dsl.components.common.resolver import Resolver
    from tfx.dsl.input_resolution.strategies.latest_blessed_model_strategy import LatestBlessedModelStrategy
    from tfx.types import standard_artifacts
    from tfx.types.channel import Channel

    from penstock.pipelines.latest_artifacts import LatestArtifacts

    strategies = {"latest": LatestArtifacts, "latest_blessed": LatestBlessedModelStrategy}
    channels = {name: Channel(type=getattr(standard_artifacts, port.type)) for name, port in config.outputs().items()}
    return Resolver(strategy_class=strategies[config.strategy], **channels).with_id(step.name)


def _argument(value: Any, declared: ValueType) -> Any:
    """Turn a checked YAML value into what the component's constructor takes."""
    if declared.kind == "enum":
        return declared.values.get(value, value)
    if declared.kind == "float" and isinstance(value, int):
        return float(value)
    if declared.kind == "proto" and (declared.message or "").endswith(".StatsOptions"):
        from tensorflow_data_validation.statistics.stats_options import StatsOptions

        return StatsOptions(**value)
    if declared.kind == "proto":
        return _message(value, declared)
    return value


def _message(value: Mapping[str, Any], declared: ValueType) -> Any:
    from google.protobuf import descriptor_pool, json_format, message_factory

    descriptor = descriptor_pool.Default().FindMessageTypeByName(declared.message)
    message = message_factory.GetMessageClass(descriptor)()
    return json_format.ParseDict(to_message_data(value, declared), message)


def _import(import_path: str) -> Any:
    module, _, attribute = import_path.rpartition(".")
    return getattr(import_module(module), attribute)
