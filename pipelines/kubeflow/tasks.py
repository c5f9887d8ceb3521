"""One step → KFP's task, component and container."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.errors import ConfigError
from penstock.pipelines.build import USER_CODE
from penstock.pipelines.config import KubeflowConfig, ResourcesConfig
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.kubeflow.parameters import type_of
from penstock.pipelines.kubeflow.resources import container_resources, retry_policy
from penstock.pipelines.kubeflow.runtime_values import StepValues
from penstock.pipelines.kubeflow.step_spec import CHANNEL, InputSpec, StepSpec
from penstock.pipelines.static_import import digest

_ENTRY_POINT = "penstock.pipelines.kubeflow.entrypoint"
_WITHOUT_PENSTOCK = (
    "the image {image} holds no Penstock that its python finds\n"
    "  next: build it as penstock image --print says, push it, and name it under kubeflow: image"
)
EXIT_HANDLER = "exit-handler"
"""Name of its task, component and executor; those of steps have other first parts."""


@dataclass(frozen=True)
class Task:
    """One step in KFP's terms.

    Attributes:
        step: The step's name.
        component: Name of KFP's component.
        executor: Name of its executor.
        definition: KFP's ``ComponentSpec``.
        spec: KFP's ``PipelineTaskSpec``.
        container: KFP's container of the executor.
        always_runs: Whether an earlier result is not reused although the config lets it.
    """

    step: str
    component: str
    executor: str
    definition: dict[str, Any]
    spec: dict[str, Any]
    container: dict[str, Any]
    always_runs: bool = False


def step_task(step: Step, node: Any, graph: Graph, settings: KubeflowConfig, values: StepValues) -> Task:
    """Return the task of one step.

    Args:
        step: The step.
        node: Its TFX component.
        graph: The pipeline.
        settings: How it runs.
        values: The step's runtime parameters.

    Raises:
        ConfigError: The component's executor is none that runs in our container.
    """
    spec = _spec(step, node, graph, values)
    properties = _properties(step, node, graph, spec)
    key = step.name.replace("_", "-")
    reads_data = spec.driver is not None
    caches = step.cache and not reads_data
    return Task(
        step=step.name,
        component=f"comp-{key}",
        executor=f"exec-{key}",
        definition=_definition(f"exec-{key}", step, spec, properties),
        spec=_task_spec(f"comp-{key}", step, spec, properties) | _options(step, settings, caches=caches),
        container=_container(settings, step.resources, ["step", *_arguments(spec)]),
        always_runs=reads_data and step.cache,
    )


def _definition(executor: str, step: Step, spec: StepSpec, properties: Mapping[str, Any]) -> dict[str, Any]:
    parameters = {name: {"parameterType": type_of(value)} for name, value in properties.items()}
    parameters |= {CHANNEL + each.name: {"parameterType": each.type} for each in spec.parameters}
    artifacts = {name: _artifact(spec.inputs[port].type) for port, name, _ in _feeds(step)}
    outputs = {name: _artifact(kind) for name, kind in spec.outputs.items()}
    definition = {
        "inputDefinitions": _filled({"artifacts": artifacts, "parameters": parameters}),
        "outputDefinitions": _filled({"artifacts": outputs}),
    }
    return {"executorLabel": executor, **_filled(definition)}


def _task_spec(component: str, step: Step, spec: StepSpec, properties: Mapping[str, Any]) -> dict[str, Any]:
    parameters: dict[str, Any] = {name: {"runtimeValue": {"constant": value}} for name, value in properties.items()}
    parameters |= {CHANNEL + each.name: {"componentInputParameter": each.name} for each in spec.parameters}
    artifacts = {name: _from(wire.step, wire.output) for _, name, wire in _feeds(step)}
    inputs = _filled({"artifacts": artifacts, "parameters": parameters})
    above = sorted(name.replace("_", "-") for name in step.upstream)
    return {
        "taskInfo": {"name": step.name},
        "componentRef": {"name": component},
        **_filled({"inputs": inputs, "dependentTasks": above}),
    }


def _options(step: Step, settings: KubeflowConfig, *, caches: bool) -> dict[str, Any]:
    retries = retry_policy(settings, step.resources)
    options: dict[str, Any] = {"cachingOptions": {"enableCache": True} if caches else {}}
    return options | ({"retryPolicy": retries} if retries else {})


def exit_task(function: str, settings: KubeflowConfig, after: str) -> Task:
    """Return the task that calls the user's exit handler once the task ``after`` has ended, well or not."""
    status = {"parameterType": "TASK_FINAL_STATUS", "isOptional": True}
    arguments = ["exit", "--function", function, "--executor-input", "{{$}}"]
    return Task(
        step=EXIT_HANDLER,
        component=EXIT_HANDLER,
        executor=EXIT_HANDLER,
        definition={"executorLabel": EXIT_HANDLER, "inputDefinitions": {"parameters": {"status": status}}},
        spec={
            "taskInfo": {"name": EXIT_HANDLER},
            "componentRef": {"name": EXIT_HANDLER},
            "cachingOptions": {},
            "dependentTasks": [after],
            "triggerPolicy": {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
            "inputs": {"parameters": {"status": {"taskFinalStatus": {"producerTask": after}}}},
        },
        container=_container(settings, ResourcesConfig(), arguments),
    )


def _spec(step: Step, node: Any, graph: Graph, values: StepValues) -> StepSpec:
    from tfx.dsl.components.base.base_driver import BaseDriver
    from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
    from tfx.utils.name_utils import get_full_name

    if not isinstance(node.executor_spec, ExecutorClassSpec):
        raise ConfigError(
            f"{step.type.name} is no Python component: it names a container image of its own",
            where=f"steps.{step.name}",
            expected="a component with a Python executor, which runs in the pipeline's image",
        )
    feeds = _feeds(step)
    properties = {name: value for name, value in sorted(node.exec_properties.items()) if value is not None}
    return StepSpec(
        step=step.name,
        executor=get_full_name(node.executor_spec.executor_class),
        inputs={
            port: InputSpec(get_full_name(node.inputs[port].type), tuple(name for key, name, _ in feeds if key == port))
            for port in step.inputs
        },
        outputs={name: get_full_name(channel.type) for name, channel in node.outputs.items()},
        config_model=step.type.config_model,
        driver=None if node.driver_class is BaseDriver else get_full_name(node.driver_class),
        beam=graph.beam_args if step.type.beam else (),
        remote=step.type.beam and not any("DirectRunner" in flag for flag in graph.beam_args),
        parameters=values.parameters,
        bindings=values.bindings,
        encoded=tuple(name for name, value in properties.items() if not isinstance(value, bool | int | float | str)),
        integers=tuple(name for name, value in properties.items() if type(value) is int),
    )


def _properties(step: Step, node: Any, graph: Graph, spec: StepSpec) -> dict[str, Any]:
    """Return the execution properties as KFP's constants."""
    from tfx.utils import json_utils

    found = {
        name: json_utils.dumps(value) if name in spec.encoded else value
        for name, value in sorted(node.exec_properties.items())
        if value is not None
    }
    code = digest(step.functions, graph.project)
    return {**found, USER_CODE: code} if code else found


def _feeds(step: Step) -> list[tuple[str, str, Any]]:
    """Return (input, KFP's name of it, wire) for each wire: KFP has one artifact an input, TFX any number."""
    return [
        (port, port if len(wires) == 1 else f"{port}--{index}", wire)
        for port, wires in step.inputs.items()
        for index, wire in enumerate(wires)
    ]


def _arguments(spec: StepSpec) -> list[str]:
    # A launcher copies artifacts to and from its local paths. Workers on other machines see the store alone.
    place = "uri" if spec.remote else "path"
    names = [name for each in spec.inputs.values() for name in each.names]
    arguments = ["--step", spec.dumps(), "--executor-input", "{{$}}"]
    for name in names:
        arguments += ["--input", f"{name}={{{{$.inputs.artifacts['{name}'].{place}}}}}"]
    for name in spec.outputs:
        arguments += ["--output", f"{name}={{{{$.outputs.artifacts['{name}'].{place}}}}}"]
    return arguments


def _container(settings: KubeflowConfig, resources: ResourcesConfig, arguments: list[str]) -> dict[str, Any]:
    image = resources.image or settings.image
    container: dict[str, Any] = {"image": image, "command": _command(image), "args": arguments}
    if settings.environment:
        container["env"] = [
            {"name": name, "value": _text(value)} for name, value in sorted(settings.environment.items())
        ]
    limits = container_resources(resources)
    return {**container, "resources": limits} if limits else container


def _command(image: str) -> list[str]:
    """Return the command, which tells an image without Penstock as such and not as Python does."""
    told = _WITHOUT_PENSTOCK.format(image=image)
    check = f"python -c 'import penstock.version' 2>/dev/null || {{ echo '{told}' >&2; exit 1; }}"
    return ["sh", "-c", f'{check}; exec python -m {_ENTRY_POINT} "$0" "$@"']


def _text(value: str | float | bool) -> str:  # noqa: FBT001  A value of the environment is one of these.
    return str(value).lower() if isinstance(value, bool) else str(value)


def _artifact(class_path: str) -> dict[str, Any]:
    """Return KFP's artifact type: its title is what ML Metadata shows, its version what KFP's SDK asks for."""
    title = f"{'tfx' if class_path.startswith('tfx.') else 'penstock'}.{class_path.rpartition('.')[2]}"
    return {"artifactType": {"schemaTitle": title, "schemaVersion": "0.0.1"}}


def _from(step: str, output: str) -> dict[str, Any]:
    return {"taskOutputArtifact": {"producerTask": step.replace("_", "-"), "outputArtifactKey": output}}


def _filled(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data without what is empty, as KFP's own compiler leaves it out."""
    return {key: value for key, value in data.items() if value}
