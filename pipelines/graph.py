"""A checked pipeline: typed steps and the wires between them. Plain data; the input of every builder and runner."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from penstock.metadata.server import Location, Server
from penstock.pipelines.catalog import ComponentType, Port
from penstock.pipelines.config import BeamConfig, KubeflowConfig, ResourcesConfig


@dataclass(frozen=True)
class Wire:
    """An output of a step, as the source of another step's input."""

    step: str
    output: str

    def __str__(self) -> str:
        return f"{self.step}.{self.output}"


@dataclass(frozen=True)
class Step:
    """One step, ready to be built.

    Attributes:
        name: The step's name in the config, and the node's id in ML Metadata.
        type: Its component.
        outputs: Its ports; a Resolver's depend on its parameters.
        inputs: Input name → the outputs that feed it.
        parameters: ``with`` as written, for components whose parameters the catalog describes.
        config: ``with`` as the component's own typed model, where it has one.
        after: Steps that must finish first although no wire says so.
        cache: Whether an earlier result may be reused.
        functions: Import paths of the user's functions that the step calls.
        resources: What its container is given on a cluster.
    """

    name: str
    type: ComponentType
    outputs: Mapping[str, Port] = field(default_factory=dict)
    inputs: Mapping[str, tuple[Wire, ...]] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    config: BaseModel | None = None
    after: tuple[str, ...] = ()
    cache: bool = True
    functions: tuple[str, ...] = ()
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)

    @property
    def deterministic(self) -> bool:
        """Whether the component, as it is configured, gives the same for the same inputs, parameters and code."""
        return self.type.deterministic and getattr(self.config, "deterministic", True)

    @property
    def upstream(self) -> frozenset[str]:
        """The steps that must finish before this one starts."""
        return frozenset(wire.step for wires in self.inputs.values() for wire in wires) | frozenset(self.after)


@dataclass(frozen=True)
class Graph:
    """A pipeline whose every name, type and wire was checked.

    Attributes:
        name: The pipeline's name.
        root: Absolute path or URL of artifacts and logs.
        sqlite: Absolute path of the metadata store; empty where it is no file.
        project: The folder that user modules and relative paths refer to.
        beam_args: Flags for Beam.
        beam: What the config says about Beam.
        steps: In an order in which they can run.
        kubeflow: How it runs on a cluster; None where nothing is said of it.
        server: The metadata store where it is no file.
    """

    name: str
    root: str
    sqlite: str
    project: Path
    beam_args: tuple[str, ...]
    steps: Mapping[str, Step]
    beam: BeamConfig = field(default_factory=BeamConfig)
    kubeflow: KubeflowConfig | None = None
    server: Server | None = None

    @property
    def location(self) -> Location:
        """The metadata store."""
        return self.server or Path(self.sqlite)

    def giving(self, artifact: str) -> Iterator[tuple[Step, str]]:
        """Yield each step that gives artifacts of type ``artifact``, with the output's name."""
        for step in self.steps.values():
            yield from ((step, key) for key, port in step.outputs.items() if port.type == artifact)

    def of_type(self, component: str) -> Iterator[Step]:
        """Yield the steps whose component has the short name ``component``."""
        return (step for step in self.steps.values() if step.type.name == component)

    def downstream(self, names: frozenset[str]) -> frozenset[str]:
        """Return ``names`` and every step that depends on one of them."""
        reached = set(names)
        for step in self.steps.values():
            if step.upstream & reached:
                reached.add(step.name)
        return frozenset(reached)
