"""Where an artifact comes from and what became of it, through all runs of its pipeline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, Execution

DEPTH = 20
"""Steps in one direction, at most; a store with a circle in it ends here."""
WIDTH = 100
"""Executions of one level that are followed downwards, at most."""
PUSHED_MODEL = "PushedModel"
MODELS = frozenset({"Model", "TFLiteModel"})
Direction = Literal["up", "down"]


@dataclass(frozen=True)
class Lineage:
    """An artifact with all that it was made of and all that was made of it.

    Attributes:
        target: The artifact.
        same: Ids of the artifacts that are the target: itself and, of a pushed version, the models in it.
        artifacts: All artifacts, the target among them, by id.
        up: The executions that made the target and what it was made of, nearest first.
        down: The executions that worked with the target, and with what they made of it, nearest first.
        more: Whether there is more below than is told.
    """

    target: Artifact
    same: tuple[int, ...]
    artifacts: Mapping[int, Artifact]
    up: tuple[Execution, ...] = ()
    down: tuple[Execution, ...] = ()
    more: bool = False

    def maker(self, artifact: int) -> Execution | None:
        """Return the execution that made an artifact, as far as it is part of this."""
        return next((one for one in (*self.up, *self.down) if artifact in one.all_outputs()), None)

    def users(self, artifact: int) -> list[Execution]:
        """Return the executions below the target that worked with an artifact."""
        return [one for one in self.down if artifact in one.all_inputs()]

    def to_dict(self) -> dict[str, Any]:
        """Return nodes and edges as JSON data."""
        executions = {one.id: one for one in (*self.up, *self.down)}
        return {
            "target": self.target.id,
            "same": list(self.same),
            "artifacts": [asdict(self.artifacts[key]) for key in sorted(self.artifacts)],
            "executions": [asdict(executions[key]) for key in sorted(executions)],
            "up": [one.id for one in self.up],
            "down": [one.id for one in self.down],
            "more": self.more,
        }


@dataclass
class _Walk:
    """What a walk through the store has met so far."""

    artifacts: dict[int, Artifact] = field(default_factory=dict)
    executions: dict[int, Execution] = field(default_factory=dict)
    more: bool = False


def lineage(reader: Reader, target: Artifact, direction: Direction | None = None) -> Lineage:
    """Return where an artifact comes from and what became of it.

    Args:
        reader: The pipeline's part of the store.
        target: The artifact.
        direction: Only this way; both when None.
    """
    up = _up(reader, target) if direction != "down" else _Walk()
    copied = _copied(reader, target) if direction != "up" else {}
    down = _down(reader, {target.id, *copied}) if direction != "up" else _Walk()
    artifacts = {**copied, **up.artifacts, **down.artifacts, target.id: target}
    below = tuple(one for one in down.executions.values() if target.id not in one.all_outputs())
    return Lineage(target, (target.id, *copied), artifacts, tuple(up.executions.values()), below, down.more)


def _copied(reader: Reader, target: Artifact) -> dict[int, Artifact]:
    """Return the models that a pushed version is a copy of: what evaluated or used them, did so with the version."""
    if target.type != PUSHED_MODEL:
        return {}
    maker = reader.makers([target.id]).get(target.id)
    inputs = reader.artifacts(maker.all_inputs()) if maker is not None else {}
    modes = [mode.strip() for mode in str(target.properties.get("modes", "")).split(",")]
    return {
        key: artifact
        for key, artifact in inputs.items()
        if artifact.type in MODELS and artifact.properties.get("mode", modes[0]) in modes
    }


def _up(reader: Reader, target: Artifact) -> _Walk:
    walk, level = _Walk(), {target.id}
    for _ in range(DEPTH):
        makers = reader.makers(level) if level else {}
        new = {one.id: one for one in makers.values() if one.id not in walk.executions}
        walk.executions |= {key: new[key] for key in sorted(new, reverse=True)}
        level = _inputs(new.values()) - walk.artifacts.keys() - {target.id}
        walk.artifacts |= reader.artifacts(level)
        if not level:
            break
    return walk


def _down(reader: Reader, targets: set[int]) -> _Walk:
    walk, level = _Walk(), targets
    for _ in range(DEPTH):
        users = reader.users(level, WIDTH + 1) if level else []
        walk.more |= len(users) > WIDTH
        new = [one for one in users[:WIDTH] if one.id not in walk.executions]
        walk.executions |= {one.id: one for one in new}
        level = _outputs(new) - walk.artifacts.keys() - targets
        walk.artifacts |= reader.artifacts(level)
        if not level:
            break
    else:
        walk.more = True
    return walk


def _inputs(executions: Iterable[Execution]) -> set[int]:
    return {one for execution in executions for one in execution.all_inputs()}


def _outputs(executions: Iterable[Execution]) -> set[int]:
    return {one for execution in executions for one in execution.all_outputs()}
