"""Inputs of steps → the outputs that feed them, by artifact type where the config does not say.

An input that the config leaves out is fed by an earlier step. Among the outputs of its type those of the input's own
name come first; among those, the one that all the others flow into. More than one left is an error that lists them.
Outputs of a Resolver are artifacts of earlier runs: they feed a baseline, and a required input that nothing else can.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from penstock.closest import did_you_mean
from penstock.pipelines.catalog import Port
from penstock.pipelines.config import Document, PipelineConfig, Problem
from penstock.pipelines.config.words import one_of
from penstock.pipelines.graph import Step, Wire
from penstock.pipelines.registry import built_in
from penstock.pipelines.wired import Wired


class Wiring:
    """Wires the steps of one config; what is wrong collects in ``problems``.

    Args:
        config: The typed config.
        document: For locations.
        steps: The enabled steps in the config's order, not wired yet. Steps that could not be typed are missing.
        untyped: Names of enabled steps that could not be typed; wires to them are not judged again.
    """

    def __init__(
        self, config: PipelineConfig, document: Document, steps: Mapping[str, Step], untyped: frozenset[str]
    ) -> None:
        self._config = config
        self._document = document
        self._steps = dict(steps)
        self._untyped = untyped
        self._wired = Wired()
        self.problems: list[Problem] = []

    def run(self) -> dict[str, Step]:
        """Return the steps with their wires, in an order in which they can run."""
        for name, step in self._steps.items():
            inputs = self._declared_inputs(step)
            for port_name, port in _ports(step).items():
                if port_name not in self._config.steps[name].inputs and port_name not in _unused(step):
                    wires = self._find(replace(step, inputs=inputs), port_name, port)
                    inputs |= {port_name: wires} if wires else {}
            self._wired.add(replace(step, inputs=inputs, after=tuple(self._after(name))))
        return self._ordered(self._wired.steps)

    def _declared_inputs(self, step: Step) -> dict[str, tuple[Wire, ...]]:
        inputs: dict[str, tuple[Wire, ...]] = {}
        ports = _ports(step)
        for port_name, sources in self._config.steps[step.name].inputs.items():
            path = ("steps", step.name, "inputs", port_name)
            if not step.type.open and port_name not in step.type.inputs:
                self._report(
                    path,
                    f"{step.type.name} has no input '{port_name}'",
                    key=True,
                    expected=one_of(step.type.inputs) if step.type.inputs else "no inputs: it takes none",
                    hint=did_you_mean(port_name, step.type.inputs),
                )
                continue
            port = ports.get(port_name)
            texts = (sources,) if isinstance(sources, str) else sources
            if not texts and port is not None and not port.optional:
                self._report(
                    path, f"input '{port_name}' of step '{step.name}' cannot be left unwired", expected="step.output"
                )
            wires = [wire for text in texts if (wire := self._parse(path, text, port)) is not None]
            inputs |= {port_name: tuple(wires)} if wires else {}
        return inputs

    def _parse(self, path: tuple[str, ...], text: str, port: Port | None) -> Wire | None:
        step_name, _, output = text.partition(".")
        if step_name in self._untyped:
            return None
        source = self._steps.get(step_name)
        if source is None:
            known = [*self._steps, *self._untyped]
            disabled = step_name in self._config.steps
            self._report(
                path,
                f"step '{step_name}' is disabled" if disabled else f"no step '{step_name}'",
                received=text,
                expected=self._fitting(path, port, "step.output"),
                hint=f"enable it or wire {path[-1]} to another step" if disabled else did_you_mean(step_name, known),
            )
            return None
        if source.type.open:
            return Wire(step_name, output)
        if output not in source.outputs:
            self._report(
                path,
                f"step '{step_name}' ({source.type.name}) has no output '{output}'",
                received=text,
                expected=f"one of {', '.join(f'{step_name}.{name}' for name in source.outputs)}",
                hint=did_you_mean(output, source.outputs),
            )
            return None
        given = source.outputs[output].type
        if port is not None and given != port.type:
            self._report(
                path,
                f"'{path[-1]}' takes {port.type}, but {text} is {given}",
                expected=self._fitting(path, port, f"an output of type {port.type}"),
            )
            return None
        return Wire(step_name, output)

    def _fitting(self, path: tuple[str, ...], port: Port | None, otherwise: str) -> str:
        """Return the outputs that the input at a path takes, in words; ``otherwise`` where none is known."""
        if port is None:
            return otherwise
        others = [step for step in self._steps.values() if step.name != path[1]]
        found = [f"{step.name}.{key}" for step in others for key in _of_type(step, port.type)]
        return f"one of {', '.join(found)}" if found else otherwise

    def _find(self, step: Step, port_name: str, port: Port) -> tuple[Wire, ...]:
        """Return the automatic wire of an input, or nothing."""
        candidates = _candidates(port_name, port, self._wired)
        may_be_another = self._may_be_another(step.name)
        if may_be_another and port.wiring != "resolved":
            candidates = [wire for wire in candidates if wire.output == port_name]
        if port.wiring == "resolved":
            # A model is no baseline for itself.
            candidates = [wire for wire in candidates if (wire,) not in step.inputs.values()]
        nearest = self._wired.nearest(candidates)
        if nearest is not None:
            return (nearest,)
        path = ("steps", step.name)
        if may_be_another:
            return ()
        if candidates:
            listed = ", ".join(map(str, candidates))
            self._report(
                path,
                f"input '{port_name}' ({port.type}) of step '{step.name}' could come from {len(candidates)} outputs",
                expected=f"one of {listed}",
                hint=f"say which, such as inputs: {{{port_name}: {candidates[-1]}}}",
            )
        elif not port.optional:
            self._missing(path, step, port_name, port)
        return ()

    def _may_be_another(self, name: str) -> bool:
        """Whether an earlier step whose outputs are not known might feed an input of step ``name``."""
        if self._wired.open or not self._untyped:
            return self._wired.open
        before = itertools.takewhile(lambda other: other != name, self._document.data["steps"])
        return any(other in self._untyped for other in before)

    def _missing(self, path: tuple[str, ...], step: Step, port_name: str, port: Port) -> None:
        disabled = [name for name in self._disabled() if _gives(self._config.steps[name].component, port.type)]
        others = [other for other in self._steps.values() if other.name != step.name]
        later = [f"{other.name}.{key}" for other in others for key in _of_type(other, port.type)]
        self._report(
            path,
            f"nothing feeds input '{port_name}' ({port.type}) of step '{step.name}' ({step.type.name})",
            expected=f"an earlier step that gives {port.type}",
            hint=f"enable step {' or '.join(disabled)}"
            if disabled
            else f"move {later[0].partition('.')[0]} before {step.name}, or write inputs: {{{port_name}: {later[0]}}}"
            if later
            else f"add a step that gives {port.type}: {', '.join(_producers(port.type)) or 'none is built in'}",
        )

    def _disabled(self) -> Iterator[str]:
        return (name for name, step in self._config.steps.items() if not step.enabled)

    def _after(self, name: str) -> Iterator[str]:
        for index, other in enumerate(self._config.steps[name].after):
            if other in self._steps or other in self._untyped:
                yield other
            else:
                self._report(
                    ("steps", name, "after", index),
                    f"no step '{other}'" if other not in self._config.steps else f"step '{other}' is disabled",
                    expected=one_of([step for step in self._steps if step != name]),
                    hint=did_you_mean(other, self._steps),
                )

    def _ordered(self, wired: Mapping[str, Step]) -> dict[str, Step]:
        sorter = TopologicalSorter({name: sorted(step.upstream & wired.keys()) for name, step in wired.items()})
        try:
            sorter.prepare()
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            self._report(
                ("steps", cycle[0]),
                f"steps wait for each other: {' → '.join(cycle)}",
                hint="take out one of these wires or 'after' entries",
            )
            return dict(wired)
        places = {name: place for place, name in enumerate(wired)}
        ordered: dict[str, Step] = {}
        while sorter.is_active():
            ready = sorted(sorter.get_ready(), key=places.__getitem__)
            ordered |= {name: wired[name] for name in ready}
            sorter.done(*ready)
        return ordered

    def _report(
        self,
        path: tuple[str | int, ...],
        message: str,
        *,
        key: bool = False,
        received: str | None = None,
        expected: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problems.append(
            self._document.problem(path, message, key=key, received=received, expected=expected, hint=hint)
        )


def _ports(step: Step) -> dict[str, Port]:
    """Return the inputs of a step; an optional one that its parameters need is not optional, as its config says."""
    config = step.config
    needed = config.needed_inputs() if config is not None and hasattr(config, "needed_inputs") else frozenset()
    return {
        name: replace(port, optional=port.optional and name not in needed) for name, port in step.type.inputs.items()
    }


def _unused(step: Step) -> frozenset[str]:
    """Return the optional inputs that a step's parameters leave without a use, as its config model says."""
    config = step.config
    return config.unused_inputs() if config is not None and hasattr(config, "unused_inputs") else frozenset()


def _of_type(step: Step, type_name: str) -> list[str]:
    return [key for key, port in step.outputs.items() if port.type == type_name]


def _candidates(port_name: str, port: Port, wired: Wired) -> list[Wire]:
    """Return the outputs that may feed an input by itself, those of its own name only where there are such."""
    if port.wiring == "explicit":
        return []
    of_type = wired.outputs(port.type)
    resolved = [wire for wire in of_type if wired.steps[wire.step].type.name == "Resolver"]
    if port.wiring == "resolved":
        return resolved
    own = [wire for wire in of_type if wire not in resolved]
    if not own and not port.optional:
        own = resolved
    if port.wiring == "nearest":
        return own
    same_key = [wire for wire in own if wire.output == port_name]
    return same_key if same_key or port.wiring == "same_key" else own


def _producers(type_name: str) -> list[str]:
    return sorted(name for name in built_in() if _gives(name, type_name))


def _gives(component: str, type_name: str) -> bool:
    entry = built_in().get(component)
    return entry is not None and any(port.type == type_name for port in entry.outputs.values())
