"""A loaded config → a checked :class:`Graph`. Every problem is found before any is reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from penstock.errors import ConfigError
from penstock.pipelines.catalog import ComponentType
from penstock.pipelines.checks import rules_for
from penstock.pipelines.config import (
    ConfigProblems,
    Loaded,
    Problem,
    Reading,
    coerced,
    follows_from,
    problems_from_pydantic,
    read,
)
from penstock.pipelines.engines.flags import beam_args
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.registry import Describe, Registry
from penstock.pipelines.values import check_function, check_parameters
from penstock.pipelines.wiring import Wiring
from penstock.types import fields_with_role, replace_field


def resolve(loaded: Loaded, describe: Describe | None = None) -> Graph:
    """Check everything that can be checked about ``loaded`` and return the typed graph.

    Args:
        loaded: What :func:`penstock.pipelines.config.load` returned.
        describe: Imports and describes components that are not built in; without it they stay open.

    Raises:
        ConfigProblems: All that is wrong.
    """
    return _Resolver(Reading(loaded), loaded, Registry(loaded.document.project, describe)).run()


def check(
    file: str | Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None
) -> tuple[Loaded, Graph]:
    """Load a file and check its graph; what is wrong with either is reported together.

    Args:
        file: The YAML file.
        overrides: ``--set`` arguments, each ``path.to.key=value``.
        environ: Environment for ``${env.NAME}``; that of this process when None.

    Raises:
        ConfigProblems: All that is wrong.
    """
    reading = read(file, overrides, environ)
    if reading.rest is None:
        raise ConfigProblems(reading.problems, file)
    return reading.rest, _Resolver(reading, reading.rest, Registry(reading.rest.document.project)).run()


class _Resolver:
    def __init__(self, reading: Reading, loaded: Loaded, registry: Registry) -> None:
        self._reading = reading
        self._config = loaded.config
        self._document = loaded.document
        self._loaded = loaded
        self._registry = registry
        self._problems: list[Problem] = []

    def run(self) -> Graph:
        enabled = [name for name, step in self._config.steps.items() if step.enabled]
        steps = {name: step for name in enabled if (step := self._typed_step(name)) is not None}
        if not enabled and not self._reading.left_out:
            self._problems.append(self._document.problem(("steps",), "every step is disabled", key=True))
        untyped = (frozenset(enabled) - steps.keys()) | self._reading.left_out
        wiring = Wiring(self._config, self._document, steps, untyped)
        graph = Graph(
            name=self._config.pipeline,
            root=self._loaded.root,
            sqlite=self._loaded.sqlite,
            project=self._document.project,
            beam_args=beam_args(self._config.beam.runner, self._config.beam.options),
            steps=wiring.run(),
            beam=self._config.beam,
            kubeflow=self._config.kubeflow,
            server=self._loaded.server,
        )
        self._problems += wiring.problems
        for rule in rules_for(graph):
            self._problems += rule(graph, self._document)
        before = [*(problem.path for problem in self._reading.problems), *self._document.damaged]
        found = [problem for problem in self._problems if not follows_from(problem.path, before)]
        if self._reading.problems or found:
            raise ConfigProblems([*self._reading.problems, *found], self._document.file)
        return graph

    def _typed_step(self, name: str) -> Step | None:
        """Return the step with its component and parameters; None when the component is not known."""
        declared = self._config.steps[name]
        try:
            component = self._registry.find(declared.component)
        except ConfigError as error:
            path = ("steps", name, "component")
            self._problems.append(
                self._document.problem(
                    path, error.what, received=error.received, expected=error.expected, hint=error.hint
                )
            )
            return None
        config, outputs = None, component.outputs
        if component.config_model:
            config = self._typed_config(name, component)
            outputs = config.outputs() if config is not None and hasattr(config, "outputs") else outputs
            if config is None and not outputs:
                return None
        elif not component.open:
            self._check_parameters(name, component)
        step = Step(
            name=name,
            type=component,
            outputs=outputs,
            parameters={} if component.config_model else self._resolved_parameters(name, component),
            config=config,
            functions=tuple(self._functions(name, component, config)),
            resources=declared.resources,
        )
        by_itself = self._config.cache and step.deterministic
        return replace(step, cache=by_itself if declared.cache is None else declared.cache)

    def _check_parameters(self, name: str, component: ComponentType) -> None:
        path = ("steps", name, "with")
        given = self._config.steps[name].with_
        self._problems += check_parameters(self._document, path, given, component.parameters)
        for group in component.one_of:
            chosen = [key for key in group if given.get(key) is not None]
            if len(chosen) != 1:
                found = f"both {' and '.join(chosen)}" if chosen else "neither"
                self._problems.append(
                    self._document.problem(
                        path,
                        f"{component.name} needs exactly one of {' and '.join(group)}",
                        received=found,
                        hint=f"write {group[-1]}: package.module.function",
                    )
                )

    def _typed_config(self, name: str, component: ComponentType) -> BaseModel | None:
        module, _, attribute = (component.config_model or "").partition(":")
        model: type[BaseModel] = getattr(import_module(module), attribute)
        path = ("steps", name, "with")
        try:
            config = model.model_validate(dict(self._config.steps[name].with_))
        except ValidationError as error:
            self._problems += problems_from_pydantic(self._document, error, path, model)
            return None
        self._problems += coerced(self._document, path, config)
        for field, function in fields_with_role(config, "function"):
            self._problems += check_function(self._document, (*path, *field), function)
        for field, text in fields_with_role(config, "path"):
            config = replace_field(config, field, self._document.resolve(text))
        return config

    def _resolved_parameters(self, name: str, component: ComponentType) -> dict[str, Any]:
        resolved = dict(self._config.steps[name].with_)
        for key, parameter in component.parameters.items():
            if parameter.type.kind == "path" and isinstance(resolved.get(key), str):
                resolved[key] = self._document.resolve(resolved[key])
        return resolved

    def _functions(self, name: str, component: ComponentType, config: BaseModel | None) -> Iterator[str]:
        """Yield the user code that decides what the step does: its content is part of the step's cache key."""
        if component.open or not component.import_path.startswith(("tfx.", "penstock.")):
            yield component.import_path
        if config is not None:
            yield from (text for _, text in fields_with_role(config, "function"))
        for key, parameter in component.parameters.items():
            value = self._config.steps[name].with_.get(key)
            if parameter.type.kind == "function" and isinstance(value, str):
                yield value
