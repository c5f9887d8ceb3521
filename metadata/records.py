"""What a metadata store holds, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Value = int | float | str | bool
_SCALARS = ("int_value", "double_value", "string_value", "bool_value")


@dataclass(frozen=True)
class Artifact:
    """An artifact as ML Metadata knows it.

    Attributes:
        properties: Declared and custom ones together.
        created: When it was recorded, milliseconds since 1970.
        deleted: Whether ``penstock gc`` removed its files.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, Value]
    created: int = 0
    deleted: bool = False


@dataclass(frozen=True)
class Origin:
    """Where an execution belongs: a pipeline, one of its runs, a step; each empty where the store does not say."""

    pipeline: str = ""
    run: str = ""
    step: str = ""


@dataclass(frozen=True)
class Execution:
    """An execution of a step.

    Attributes:
        state: ML Metadata's name of it: RUNNING, COMPLETE, FAILED, CACHED, …
        properties: Declared and custom ones together: the step's parameters, and what was found about it.
        inputs: Input name → ids of the artifacts that fed it.
        updated: Milliseconds since 1970.
        outputs: Output name → ids of the artifacts that it made, or took from the cache.
        type: Its component's type in ML Metadata.
        origin: Its pipeline, run and step.
        created: When it was recorded first, milliseconds since 1970.
    """

    id: int
    state: str
    properties: Mapping[str, Value]
    inputs: Mapping[str, tuple[int, ...]]
    updated: int
    outputs: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    type: str = ""
    origin: Origin = Origin()
    created: int = 0

    @property
    def component(self) -> str:
        """The component's short name."""
        return self.type.rpartition(".")[2]

    @property
    def seconds(self) -> float:
        """From its first record to its last."""
        return max(0, self.updated - self.created) / 1000

    def all_inputs(self) -> tuple[int, ...]:
        """Ids of all artifacts that fed it, each once."""
        return tuple(dict.fromkeys(one for ids in self.inputs.values() for one in ids))

    def all_outputs(self) -> tuple[int, ...]:
        """Ids of all artifacts that it gave, each once."""
        return tuple(dict.fromkeys(one for ids in self.outputs.values() for one in ids))


@dataclass(frozen=True)
class RunRecord:
    """A run's own entry.

    Attributes:
        id: Its name.
        context: Its id in the store.
        created: When it was recorded, milliseconds since 1970.
        facts: What the runner recorded of it: see :mod:`penstock.metadata.vocabulary`.
    """

    id: str
    context: int
    created: int
    facts: Mapping[str, Value]


def scalar_properties(owner: Any) -> dict[str, Value]:
    """Return the scalar properties of an artifact, execution or context, sorted by name."""
    values = {**owner.properties, **owner.custom_properties}
    kinds = {key: value.WhichOneof("value") for key, value in sorted(values.items())}
    return {key: getattr(values[key], kind) for key, kind in kinds.items() if kind in _SCALARS}


def artifact_record(artifact: Any) -> Artifact:
    """Return ML Metadata's message as a record."""
    deleted = artifact.state == artifact.DELETED
    properties = scalar_properties(artifact)
    return Artifact(artifact.id, artifact.type, artifact.uri, properties, artifact.create_time_since_epoch, deleted)
