"""The page's two graphs: the run's steps, and what the model was made of and used for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from penstock.metadata.given import given
from penstock.metadata.lineage import PUSHED_MODEL, Lineage, lineage
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, Execution
from penstock.metadata.runs import Run, Step
from penstock.pipelines.moments import duration
from penstock.pipelines.report.charts import Drawing, draw
from penstock.pipelines.report.layout import lay_out

_MOST = 60
"""Boxes of a lineage that are drawn; more are no picture any more."""
_STATES = {
    "ran": "✓ ran",
    "cached": "○ cached",
    "failed": "✗ failed",
    "running": "… running",
    "not run": "\N{EN DASH} not run",
}


@dataclass(frozen=True)
class Node:
    """A box: its two lines of text, how it looks, and what a pointer that rests on it is told."""

    title: str
    text: str
    look: str
    told: str


@dataclass(frozen=True)
class Graph:
    """A graph, drawn in both directions; ``hidden`` is how many boxes were too many."""

    nodes: Mapping[str, Node]
    drawings: tuple[Drawing, ...]
    hidden: int = 0


def step_graph(reader: Reader, run: Run) -> Graph:
    """Return the graph of a run's steps; those that were not run stand where they did when they ran last."""
    maker = {one.id: step.name for step, one in given(run)}
    sources = {
        step.name: [maker[one.id] for found in step.inputs.values() for one in found if one.id in maker]
        if step.execution is not None
        else _earlier_sources(reader, step.name)
        for step in run.steps
    }
    return _graph({step.name: _step_node(step) for step in run.steps}, sources)


def _earlier_sources(reader: Reader, step: str) -> list[str]:
    """Return the steps that a step was fed by when it ran last; none where it never did."""
    if '"' in f"{reader.pipeline}{step}":  # No name of ours has one, and ML Metadata cannot look for it.
        return []
    last = next(iter(reader.newest_of_step(step, 1, ("COMPLETE",))), None)
    makers = reader.makers(last.all_inputs()) if last is not None else {}
    return sorted({maker.origin.step for maker in makers.values()})


def lineage_graph(reader: Reader, target: Artifact) -> Graph:
    """Return the graph of what made an artifact and what used it: one box for what a step gave as one output."""
    found = lineage(reader, target)
    executions = {one.id: one for one in (*found.up, *found.down)}
    boxes = _boxes(found, executions.values())
    drawn = dict(list(boxes.items())[:_MOST])
    box_of = {key: name for name, (keys, _) in drawn.items() for key in keys}
    sources = {
        name: [box_of[one] for one in maker.all_inputs() if one in box_of] if maker is not None else []
        for name, (_, maker) in drawn.items()
    }
    nodes = {
        name: _artifact_node([found.artifacts[key] for key in keys], maker, found)
        for name, (keys, maker) in drawn.items()
    }
    return _graph(nodes, sources, hidden=len(boxes) - len(drawn))


def _boxes(found: Lineage, executions: Iterable[Execution]) -> dict[str, tuple[list[int], Execution | None]]:
    """Return name → ids of the artifacts of a box, and what made them; the nearest to the target first."""
    boxes: dict[str, tuple[list[int], Execution | None]] = {}
    for execution in executions:
        for name, ids in execution.outputs.items():
            told = [key for key in ids if key in found.artifacts]
            # The target stands alone: it is what the graph is about.
            for key in (key for key in told if key in found.same):
                boxes[str(key)] = ([key], execution)
            others = [key for key in told if key not in found.same]
            if others:
                boxes[f"{execution.id} {name}"] = (others, execution)
    known = {key for keys, _ in boxes.values() for key in keys}
    return boxes | {str(key): ([key], None) for key in sorted(found.artifacts) if key not in known}


def _graph(nodes: Mapping[str, Node], sources: Mapping[str, Sequence[str]], hidden: int = 0) -> Graph:
    layout = lay_out(sources)
    return Graph(nodes, (draw(layout, "across"), draw(layout, "down")), hidden)


def _step_node(step: Step) -> Node:
    took = f" {duration(step.seconds)}" if step.state == "ran" and step.seconds else ""
    text = f"{_STATES[step.state]}{took}"
    told = f"{step.name} ({step.component or 'no component'}): {text}"
    if step.cached_from:
        told += f", from run {step.cached_from}"
    return Node(_cut(step.name), text, step.state.replace(" ", "-"), told + (f": {step.reason}" if step.reason else ""))


def _artifact_node(artifacts: Sequence[Artifact], maker: Execution | None, found: Lineage) -> Node:
    first = artifacts[0]
    facts = first.properties
    name = first.type
    if first.type == PUSHED_MODEL and facts.get("pushed") == 1:
        name = f"{facts.get('model_name', '')}/{facts.get('pushed_version', '')}"
    several = f"{len(artifacts)} \N{MULTIPLICATION SIGN} " if len(artifacts) > 1 else ""
    by = maker.origin.step or maker.component if maker is not None else ""
    text = f"by {by}" if several else f"#{first.id} by {by}" if by else f"#{first.id}"
    ids = ", ".join(f"#{one.id}" for one in artifacts)
    told = f"{several}{name} {ids}" + (f" by {by} in run {maker.origin.run}" if maker is not None else "")
    look = "target" if first.id in found.same else "artifact"
    return Node(_cut(several + name), _cut(text, 18), look, told)


def _cut(text: str, length: int = 15) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
