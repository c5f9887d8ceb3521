"""A checked config → KFP's intermediate representation. Offline: no bucket, cluster or registry is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.errors import ConfigError
from penstock.pipelines.config import KubeflowConfig, Loaded
from penstock.pipelines.graph import Graph
from penstock.pipelines.kubeflow.compiled import Compiled
from penstock.pipelines.kubeflow.parameters import Parameter
from penstock.pipelines.kubeflow.runtime_values import RuntimeValues
from penstock.pipelines.kubeflow.tasks import EXIT_HANDLER, Task, exit_task, step_task
from penstock.version import __version__

_SCHEMA_VERSION = "2.1.0"
_STEPS = "dag-steps"
"""Name of the task and the component that hold all steps, where an exit handler waits for them."""


def compile_pipeline(loaded: Loaded) -> Compiled:
    """Compile a config whose ``kubeflow`` block says how it runs. Imports TFX, and the user's own components.

    Raises:
        ConfigProblems: What importing the components brought to light.
        ConfigError: There is no ``kubeflow`` block, or a component refused its parameters.
    """
    from penstock.pipelines.build import build_nodes, import_and_describe
    from penstock.pipelines.resolve import resolve

    settings = loaded.config.kubeflow
    if settings is None:
        raise ConfigError(
            "the config does not say how it runs on Kubeflow",
            where=str(loaded.document.file),
            expected="kubeflow: {image: REGISTRY/IMAGE:TAG}",
            hint="add the block, or --set kubeflow.image=REGISTRY/IMAGE:TAG",
        )
    graph = resolve(loaded, import_and_describe)
    nodes = build_nodes(graph)
    values = RuntimeValues(loaded.document, graph, nodes)
    tasks = [step_task(step, nodes[step.name], graph, settings, values.of(step.name)) for step in graph.steps.values()]
    return _compiled(graph, settings, tasks, values)


def _compiled(graph: Graph, settings: KubeflowConfig, tasks: list[Task], values: RuntimeValues) -> Compiled:
    name = kfp_name(graph.name)
    components, root = _dags(graph, settings, tasks, values.parameters)
    executors = {task.executor: {"container": task.container} for task in tasks}
    if settings.exit_handler is not None:
        task = exit_task(settings.exit_handler, settings, after=_STEPS)
        executors[task.executor] = {"container": task.container}
    spec = {
        "pipelineInfo": {"name": name},
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": root,
        "schemaVersion": _SCHEMA_VERSION,
        "sdkVersion": f"penstock-{__version__}",
        "defaultPipelineRoot": graph.root,
    }
    return Compiled(
        name=name,
        target=settings.target,
        root=graph.root,
        spec=spec,
        platform=_platform(settings, executors),
        parameters=values.parameters,
        notes=(*values.notes, *_notes(settings, tasks)),
    )


def kfp_name(name: str) -> str:
    """Return a pipeline's or step's name as KFP takes it: it knows no underscore."""
    return name.replace("_", "-").rstrip("-")


def _dags(
    graph: Graph, settings: KubeflowConfig, tasks: list[Task], parameters: tuple[Parameter, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the components and the root; with an exit handler all steps stand in a component of their own."""
    components = {task.component: task.definition for task in tasks}
    inputs = {each.name: _with_default(each) for each in parameters}
    dag: dict[str, Any] = {"dag": {"tasks": {kfp_name(task.step): task.spec for task in tasks}}}
    definitions = {"inputDefinitions": {"parameters": inputs}} if inputs else {}
    if settings.exit_handler is None:
        return components, {**dag, **definitions}
    handler = exit_task(settings.exit_handler, settings, after=_STEPS)
    typed = {each.name: {"parameterType": each.type} for each in parameters}
    components[handler.component] = handler.definition
    components[_STEPS] = {**dag, **({"inputDefinitions": {"parameters": typed}} if typed else {})}
    whole: dict[str, Any] = {"taskInfo": {"name": graph.name}, "componentRef": {"name": _STEPS}}
    if parameters:
        whole["inputs"] = {"parameters": {each.name: {"componentInputParameter": each.name} for each in parameters}}
    return components, {"dag": {"tasks": {_STEPS: whole, EXIT_HANDLER: handler.spec}}, **definitions}


def _with_default(parameter: Parameter) -> dict[str, Any]:
    return {"parameterType": parameter.type, "defaultValue": parameter.default, "isOptional": True}


def _platform(settings: KubeflowConfig, executors: Mapping[str, Any]) -> dict[str, Any] | None:
    from penstock.pipelines.kubeflow.resources import platform

    return platform(settings, executors) if settings.target == "kubeflow" else None


def _notes(settings: KubeflowConfig, tasks: list[Task]) -> list[str]:
    uncached = [task.step for task in tasks if task.always_runs]
    notes = []
    if uncached:
        notes.append(
            f"{' and '.join(uncached)} will run every time: KFP looks at names and parameters, not at the data behind "
            "them, when it looks for an earlier result"
        )
    if settings.schedule is not None:
        notes.append("the schedule is no part of a compiled pipeline: `penstock deploy` creates it")
    return notes
