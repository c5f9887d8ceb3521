"""The runtime parameters of a pipeline, and where each step holds them, proved on the compiled properties."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.pipelines.config import Document
from penstock.pipelines.config.words import as_text, dotted
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.kubeflow.bindings import Binding, fill
from penstock.pipelines.kubeflow.parameters import Parameter
from penstock.pipelines.kubeflow.uses import Use, parameters, uses
from penstock.pipelines.resolver import ResolverConfig
from penstock.types import fields_with_role


@dataclass(frozen=True)
class StepValues:
    """The runtime parameters of one step, and where they go."""

    parameters: tuple[Parameter, ...] = ()
    bindings: tuple[Binding, ...] = ()


class RuntimeValues:
    """What of a config a run may set.

    A variable that anything but a step's own parameters uses, or of which one use cannot be set at run time, is
    compiled in wherever it is used: half of its uses must not follow a run's value.

    Args:
        document: The config.
        graph: The same, checked.
        nodes: Its TFX components by step.

    Attributes:
        parameters: The runtime parameters, in the config's order.
        notes: Which variables are compiled in, and why; one sentence each.
    """

    def __init__(self, document: Document, graph: Graph, nodes: Mapping[str, Any]) -> None:
        self._document = document
        found = list(uses(document, graph.steps))
        every = frozenset(name for use in found for name in use.variables)
        reasons = self._reasons(found, graph, nodes)
        self.parameters = parameters(document, every - reasons.keys())
        values = document.data.get("vars", {})
        self.notes = tuple(
            f"vars.{name} is compiled in as {_shown(values[name])}: {reason}; compile again to change it"
            for name, reason in reasons.items()
        )
        self._by_step: dict[str, list[Binding]] = {}
        for use in found:
            if not use.variables & reasons.keys():
                self._by_step.setdefault(str(use.path[1]), []).append(self._binding(use, graph))

    def of(self, step: str) -> StepValues:
        """Return the parameters of one step."""
        bindings = self._by_step.get(step, [])
        names = {part[0] for binding in bindings for part in binding.parts if isinstance(part, tuple)}
        return StepValues(tuple(each for each in self.parameters if each.name in names), tuple(bindings))

    def _reasons(self, found: list[Use], graph: Graph, nodes: Mapping[str, Any]) -> dict[str, str]:
        """Return why variables are compiled in, by name; one that shares a text with such a one is too."""
        reasons: dict[str, str] = {}
        for use in found:
            reason = use.constant or self._why_constant(use, graph, nodes)
            if reason:
                reasons |= {name: reason for name in sorted(use.variables) if name not in reasons}
        spreading = True
        while spreading:
            spreading = False
            for use in found:
                for name in sorted(use.variables - reasons.keys()) if use.variables & reasons.keys() else ():
                    reasons[name] = f"{dotted(use.path)} is also made of one that is"
                    spreading = True
        return reasons

    def _why_constant(self, use: Use, graph: Graph, nodes: Mapping[str, Any]) -> str | None:
        step = graph.steps[str(use.path[1])]
        name = str(use.path[3])
        place = dotted(use.path)
        if isinstance(step.config, ResolverConfig) or _is_function(step, use.path[3:]):
            return f"{place} shapes the pipeline"
        properties = nodes[step.name].exec_properties
        binding = self._binding(use, graph)
        if not isinstance(properties.get(binding.property), bool | int | float | str):
            return f"{name} of {step.type.name} is no property that a run could set"
        try:
            filled = fill(properties, [binding], self._document.data.get("vars", {}))
        except (LookupError, ValueError):
            return f"{name} of {step.type.name} is kept in another form than it is written"
        if not _same(filled[binding.property], properties[binding.property]):
            return f"{name} of {step.type.name} is kept in another form than it is written"
        return None

    def _binding(self, use: Use, graph: Graph) -> Binding:
        """Return the place in the properties: a component of ours has one, its whole config."""
        if graph.steps[str(use.path[1])].config is not None:
            return Binding("config", use.path[3:], use.parts)
        return use.binding()


def _is_function(step: Step, path: tuple[str | int, ...]) -> bool:
    """Whether the user's code stands there: its content decides about the cache when the pipeline is compiled."""
    if step.config is not None:
        return path in {field for field, _ in fields_with_role(step.config, "function")}
    parameter = step.type.parameters.get(str(path[0]))
    return parameter is not None and parameter.type.kind == "function"


def _same(left: Any, right: Any) -> bool:
    return left == right or (isinstance(left, str) and isinstance(right, str) and _parsed(left) == _parsed(right))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return json.dumps(value) if isinstance(value, dict | list) else as_text(value)
