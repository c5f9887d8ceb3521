"""Why a step would run, or is cached: what it would get now beside what it got in an earlier run. Imports TFX."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penstock.metadata.connection import is_there
from penstock.metadata.reader import Reader
from penstock.metadata.reasons import Change, Situation, changes
from penstock.metadata.records import Artifact, Execution
from penstock.pipelines.config import Loaded
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.plan import DryRun, PlannedStep, listed


@dataclass(frozen=True)
class Explanation:
    """Why a step would run, or is cached.

    Attributes:
        step: The step.
        component: Its component.
        cached: Whether an earlier result would be used.
        reason: Why, in one sentence.
        run: The run with whose execution it was compared, or whose result is used; empty where there is none.
        execution: That execution; None where there is none.
        changes: What is no longer as it was in that run.
        gone: Outputs of that run that are no longer on the disk.
        because: The steps above it that would run for a reason of their own, and why.
    """

    step: str
    component: str
    cached: bool
    reason: str
    run: str = ""
    execution: int | None = None
    changes: tuple[Change, ...] = ()
    gone: tuple[str, ...] = ()
    because: tuple[Explanation, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the explanation as JSON data."""
        return asdict(self)


def why(loaded: Loaded, step: str) -> Explanation:
    """Return why a step of a pipeline would run or is cached. Runs in a worker; changes nothing.

    Args:
        loaded: The config.
        step: Name of one of its steps.

    Raises:
        ConfigProblems: What importing the components brought to light.
        EnvironmentProblem: The metadata store cannot be read.
    """
    from penstock.pipelines.build import import_and_describe
    from penstock.pipelines.resolve import resolve

    graph = resolve(loaded, import_and_describe)
    wanted = _upstream(graph, step)
    reader = Reader(graph.location, graph.name) if is_there(graph.location) else None
    with tempfile.TemporaryDirectory(prefix="penstock-why-") as scratch:
        dry_run = DryRun(graph, Path(scratch))
        plan = {name: dry_run.step(found) for name, found in graph.steps.items() if name in wanted}
        return _Explainer(graph, plan, dry_run, reader).explain(step)


def _upstream(graph: Graph, step: str) -> set[str]:
    """Return a step and all that must finish before it."""
    wanted = {step}
    for name in reversed(list(graph.steps)):
        if name in wanted:
            wanted |= graph.steps[name].upstream
    return wanted


class _Explainer:
    def __init__(self, graph: Graph, plan: Mapping[str, PlannedStep], dry_run: DryRun, reader: Reader | None) -> None:
        self._graph = graph
        self._plan = plan
        self._prepared = dry_run.prepared
        self._lost = dry_run.lost
        self._reader = reader

    def explain(self, name: str) -> Explanation:
        step, planned, info = self._graph.steps[name], self._plan[name], self._prepared.get(name)
        if self._waits(step):
            above = _upstream(self._graph, name) - {name}
            roots = [one for one in self._graph.steps if one in above and self._is_root(one)]
            because = tuple(map(self.explain, roots))
            return Explanation(name, step.type.name, cached=False, reason=planned.reason, because=because)
        if self._reader is None or info is None:
            return Explanation(name, step.type.name, cached=planned.cached, reason=planned.reason)
        if name in self._lost:
            return self._without_outputs(step, planned)
        return self._used(step, info) if planned.cached else self._compared(step, info)

    def _waits(self, step: Step) -> bool:
        return any(not self._plan[other].cached for other in step.upstream)

    def _is_root(self, name: str) -> bool:
        """Whether a step would run for a reason of its own."""
        return not self._plan[name].cached and not self._waits(self._graph.steps[name])

    def _used(self, step: Step, info: Any) -> Explanation:
        """Explain a step that is cached by whose result it takes."""
        maker = self._maker([artifact.id for found in info.output_dict.values() for artifact in found])
        if maker is None:
            return Explanation(step.name, step.type.name, cached=True, reason="an earlier result fits")
        same = [f"inputs ({', '.join(sorted(maker.inputs))})"] if maker.inputs else []
        same += ["parameters", "code"] if step.functions else ["parameters"]
        return Explanation(
            step.name,
            step.type.name,
            cached=True,
            reason=f"the same {listed(same)} as in run {maker.origin.run}",
            run=maker.origin.run,
            execution=maker.id,
        )

    def _without_outputs(self, step: Step, planned: PlannedStep) -> Explanation:
        """Explain a step that would be cached if what it gave were still there."""
        outputs = self._lost[step.name].outputs
        maker = self._maker(outputs)
        found = self._reader.artifacts(outputs).values() if self._reader is not None else ()
        return Explanation(
            step.name,
            step.type.name,
            cached=False,
            reason=planned.reason,
            run=maker.origin.run if maker is not None else "",
            execution=maker.id if maker is not None else None,
            gone=tuple(artifact.uri for artifact in found if artifact.deleted or _is_gone(artifact)),
        )

    def _compared(self, step: Step, info: Any) -> Explanation:
        """Explain a step that would run by what changed since it last ended well."""
        reader = self._reader
        last = _newest(reader, step.name) if reader is not None else None
        if reader is None or last is None:
            return Explanation(step.name, step.type.name, cached=False, reason="it has not run before")
        found = tuple(changes(reader, step.name, last, self._situation(step, info)))
        gone = tuple(artifact.uri for artifact in reader.artifacts(last.all_outputs()).values() if _is_gone(artifact))
        reason = "it changed since then" if found else "its earlier outputs are gone" if gone else _UNKNOWN
        return Explanation(
            step.name,
            step.type.name,
            cached=False,
            reason=reason,
            run=last.origin.run,
            execution=last.id,
            changes=found,
            gone=gone,
        )

    def _situation(self, step: Step, info: Any) -> Situation:
        from penstock.pipelines.runners.facts import library_versions
        from penstock.pipelines.static_import import module_digests

        return Situation(
            inputs={key: tuple(artifact.id for artifact in found) for key, found in info.input_dict.items()},
            parameters=info.exec_properties,
            code=module_digests(step.functions, self._graph.project),
            versions=library_versions(),
        )

    def _maker(self, artifacts: Sequence[int]) -> Execution | None:
        found = self._reader.makers(artifacts) if self._reader is not None else {}
        return max(found.values(), key=lambda execution: execution.id, default=None)


_UNKNOWN = "nothing that is recorded changed; its component may have, or the artifacts of its inputs"


def _newest(reader: Reader, step: str) -> Execution | None:
    """Return the execution whose result a step gave last: a cached one records neither inputs nor parameters."""
    last = next(iter(reader.newest_of_step(step, 1)), None)
    if last is None or last.state != "CACHED":
        return last
    makers = reader.makers(last.all_outputs()).values()
    return max(makers, key=lambda execution: execution.id, default=last)


def _is_gone(artifact: Artifact) -> bool:
    return "://" not in artifact.uri and not Path(artifact.uri).exists()
