"""Which steps would run, and why: TFX's own cache check, made on top of the metadata store, which stays as it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.metadata import Execution, Store
from penstock.metadata.connection import is_there, open_store
from penstock.pipelines.config import Loaded
from penstock.pipelines.graph import Graph, Step

if TYPE_CHECKING:
    from penstock.pipelines.runners.launch import Lost


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan.

    Attributes:
        wires: Input name → where it comes from.
        cached: Whether an earlier result would be used.
        reason: Why, in one sentence.
    """

    name: str
    component: str
    wires: dict[str, list[str]]
    cached: bool
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """Return the step as JSON data."""
        return asdict(self)


def plan(loaded: Loaded) -> list[PlannedStep]:
    """Return the steps in the order in which they would run. Runs in a worker; changes nothing.

    Raises:
        ConfigProblems: What importing the components brought to light.
        EnvironmentProblem: The metadata store cannot be read.
    """
    from penstock.pipelines.build import import_and_describe
    from penstock.pipelines.resolve import resolve

    graph = resolve(loaded, import_and_describe)
    with tempfile.TemporaryDirectory(prefix="penstock-plan-") as scratch:
        dry_run = DryRun(graph, Path(scratch))
        return [dry_run.step(step) for step in graph.steps.values()]


class DryRun:
    """Asks TFX's launcher about each step; what it would record stays in memory, and its folders in ``scratch``.

    Attributes:
        prepared: Step → what it would get, for the steps whose inputs are all known: TFX's ``ExecutionInfo``.
        lost: Step → the earlier result that it would use if its outputs were there.
    """

    def __init__(self, graph: Graph, scratch: Path) -> None:
        from penstock.metadata.overlay import empty_store
        from penstock.metadata.owners import Owner
        from penstock.pipelines.build import compile_graph
        from penstock.pipelines.runners.handle import DryHandle

        self._will_run: set[str] = set()
        self.prepared: dict[str, Any] = {}
        self.lost: dict[str, Lost] = {}
        known = is_there(graph.location)
        self._history = Store(graph.location, graph.name) if known else None
        below = open_store(graph.location) if known else empty_store()
        self._handle = DryHandle(below, Owner.here(graph.name, graph.root, "plan"))
        self._ir = compile_graph(graph, run_id="plan")
        self._ir.runtime_spec.pipeline_root.field_value.string_value = str(scratch / "root")

    def step(self, step: Step) -> PlannedStep:
        """Return what would become of a step; to be asked in the graph's order."""
        cached, reason = self._judge(step)
        if not cached:
            self._will_run.add(step.name)
        wires = {name: [str(wire) for wire in sources] for name, sources in step.inputs.items()}
        return PlannedStep(step.name, step.type.name, wires, cached, reason)

    def _judge(self, step: Step) -> tuple[bool, str]:
        from penstock.pipelines.runners.jobs import launcher

        waiting = sorted(step.upstream & self._will_run)
        if waiting:
            return False, f"{listed(waiting)} would run"
        if step.type.name == "Resolver":
            launcher(self._ir, step.name, self._handle).launch()
            return True, "looks up earlier results"
        if not step.cache and step.deterministic:
            return False, "cache is off for this step"
        if not step.cache:
            return False, "its result depends on more than its inputs; with cache: true an earlier one counts"
        return self._compare(step)

    def _compare(self, step: Step) -> tuple[bool, str]:
        """Look for an earlier result, as the launcher does."""
        from penstock.pipelines.runners.jobs import launcher

        prepared = launcher(self._ir, step.name, self._handle)._prepare_execution()  # noqa: SLF001  TFX has no public dry run.
        self.prepared[step.name] = prepared.execution_info
        if not prepared.is_execution_needed:
            return True, "same inputs, parameters and code as in an earlier run"
        lost = self._lost_result(prepared)
        if lost is not None:
            self.lost[step.name] = lost
            return False, f"its earlier outputs {'were removed by gc' if lost.removed else 'are gone'}"
        return False, self._why(step, prepared.execution_info)

    def _lost_result(self, prepared: Any) -> Lost | None:
        from penstock.pipelines.runners.launch import lost_result

        with self._handle as handle:
            return lost_result(handle.store, prepared.contexts[-1], prepared.execution_info.execution_id)

    def _why(self, step: Step, info: Any) -> str:
        """Compare with the newest execution that ended well."""
        last = self._history.last_success(step.name) if self._history is not None else None
        if last is None:
            return "it has not run before"
        inputs = {key: tuple(artifact.id for artifact in artifacts) for key, artifacts in info.input_dict.items()}
        return "; ".join(changes(last, inputs, info.exec_properties)) or "Penstock, TFX or its component changed"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: ``a``, ``a and b``, ``a, b and c``."""
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def changes(last: Execution, inputs: Mapping[str, tuple[int, ...]], parameters: Mapping[str, Any]) -> Iterator[str]:
    """Yield what differs between an earlier execution and what a step would get now, one phrase each."""
    yield from _changed_inputs(last, inputs)
    yield from _changed_parameters(last, parameters)


def _changed_inputs(last: Execution, now: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for key in sorted(last.inputs.keys() | now.keys()):
        if last.inputs.get(key) != now.get(key):
            yield f"input {key} changed"


def _changed_parameters(last: Execution, now: Mapping[str, Any]) -> Iterator[str]:
    from penstock.pipelines.build import USER_CODE

    for key in sorted(now):
        before, after = last.properties.get(key), now[key]
        if key == USER_CODE and before != after:
            yield "its user code changed"
        elif key == "input_fingerprint" and before != after:
            yield "its data changed"
        elif key == "config":
            yield from _changed_keys(str(before), str(after))
        elif not key.startswith("_") and isinstance(after, (int, float, str)) and before != after:
            yield f"parameter {key} changed"


def _changed_keys(before: str, after: str) -> Iterator[str]:
    """Compare two configs of a component of ours, key by key."""
    try:
        old, new = json.loads(before), json.loads(after)
    except ValueError:
        old, new = {}, {"config": after}
    for key in sorted(old.keys() | new.keys()):
        if old.get(key) != new.get(key):
            yield f"{key}: {json.dumps(old.get(key))} → {json.dumps(new.get(key))}"
