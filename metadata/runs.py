"""Runs of a pipeline: which there are, and what became of every step of one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from penstock.metadata import vocabulary
from penstock.metadata.evaluations import metric_of
from penstock.metadata.owners import LEFT_BEHIND, is_gone
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact, Execution, RunRecord, Value

StepState = Literal["ran", "cached", "failed", "running", "not run"]
RunState = Literal["complete", "failed", "running", "incomplete"]
_STATES: Mapping[str, StepState] = {"COMPLETE": "ran", "CACHED": "cached", "RUNNING": "running", "NEW": "running"}
_LEFT = "its process is gone: killed, or the machine stopped; the next run closes it"
_TOLD = frozenset({"PushedModel", "Model", "ModelEvaluation"})


@dataclass(frozen=True)
class Step:
    """What became of a step in a run.

    Attributes:
        name: The step.
        component: Short name of its component.
        state: What became of it.
        seconds: From the first record of its execution to the last, or to now while it runs; 0 where it was not run.
        reason: Why it failed, where the store knows.
        execution: Its execution; None where it was not run.
        cached_from: The run whose outputs it took; empty where it ran itself.
        inputs: Input name → artifacts.
        outputs: Output name → artifacts.
        properties: Its parameters, and what was found about it, also where it is cached.
    """

    name: str
    component: str
    state: StepState
    seconds: float = 0.0
    reason: str = ""
    execution: int | None = None
    cached_from: str = ""
    inputs: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    outputs: Mapping[str, tuple[Artifact, ...]] = field(default_factory=dict)
    properties: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run in full.

    Attributes:
        id: Names it.
        pipeline: Its pipeline.
        state: What became of it: ``incomplete`` where steps are missing though none failed and none runs.
        started: Milliseconds since 1970.
        seconds: Until the last record of a step, or until now while one runs.
        facts: What the runner recorded: config, commit, versions.
        steps: In the order of the pipeline.
    """

    id: str
    pipeline: str
    state: RunState
    started: int
    seconds: float
    facts: Mapping[str, Value]
    steps: tuple[Step, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the run as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class RunLine:
    """A run in short.

    Attributes:
        id: Names it.
        pipeline: Its pipeline.
        state: What became of it.
        started: Milliseconds since 1970.
        seconds: Until the last record of a step, or until now while one runs.
        steps: State → how many steps.
        version: The versions that it pushed, or took from the cache, such as ``digits/3``; empty where it did not.
        metric: A metric of its model, by name: the Evaluator's first, else the training's; empty where there is none.
        value: That metric's value.
    """

    id: str
    pipeline: str
    state: RunState
    started: int
    seconds: float
    steps: Mapping[str, int]
    version: str = ""
    metric: str = ""
    value: float | None = None


def list_runs(reader: Reader, limit: int) -> list[RunLine]:
    """Return the newest runs, the newest first."""
    runs = reader.newest_runs(limit)
    executions = reader.executions_of_runs(runs)
    told = reader.artifacts(one for found in executions.values() for each in found for one in each.all_outputs())
    evaluations = {one.id for one in told.values() if one.type == "ModelEvaluation"}
    makers = reader.makers(evaluations)
    return [_line(run, executions[run.id], told, makers) for run in runs]


def read_run(reader: Reader, run: RunRecord) -> Run:
    """Return everything about a run."""
    executions = _last_of_each(reader.executions_of(run))
    ids = {one for found in executions.values() for one in (*found.all_inputs(), *found.all_outputs())}
    artifacts = reader.artifacts(ids)
    cached = {name: found.all_outputs() for name, found in executions.items() if found.state == "CACHED"}
    makers = reader.makers(ids[0] for ids in cached.values() if ids)
    steps = []
    for name in _step_names(run, executions):
        if name not in executions:
            steps.append(Step(name, "", "not run"))
            continue
        outputs = cached.get(name)
        steps.append(_step(executions[name], artifacts, makers.get(outputs[0]) if outputs else None))
    found = list(executions.values())
    return Run(
        id=run.id,
        pipeline=_pipeline(run, found),
        state=_run_state([step.state for step in steps]),
        started=_started(run, found),
        seconds=_seconds(run, found),
        facts=run.facts,
        steps=tuple(steps),
    )


def _step(execution: Execution, artifacts: Mapping[int, Artifact], maker: Execution | None) -> Step:
    looked_up = execution.component == "Resolver"
    state = "ran" if looked_up and execution.state == "CACHED" else _STATES.get(execution.state, "failed")
    left = state == "running" and is_gone(execution.properties)
    return Step(
        name=execution.origin.step,
        component=execution.component,
        state="failed" if left else state,
        seconds=(_ended(execution) - execution.created) / 1000,
        reason=_LEFT if left else str(execution.properties.get(vocabulary.END_REASON, "")),
        execution=execution.id,
        cached_from=maker.origin.run if maker is not None else "",
        inputs=_resolved(execution.inputs, artifacts),
        outputs=_resolved(execution.outputs, artifacts),
        properties={**_found(maker), **execution.properties},
    )


def _found(maker: Execution | None) -> dict[str, Value]:
    """Return what was found about outputs when they were made; a cached execution has no findings of its own."""
    properties = maker.properties if maker is not None else {}
    return {name: properties[name] for name in vocabulary.FINDINGS if name in properties}


def _resolved(
    links: Mapping[str, tuple[int, ...]], artifacts: Mapping[int, Artifact]
) -> dict[str, tuple[Artifact, ...]]:
    return {key: tuple(artifacts[one] for one in links[key] if one in artifacts) for key in sorted(links)}


def _last_of_each(executions: Sequence[Execution]) -> dict[str, Execution]:
    """Return the last execution of each step; what belongs to no step, such as a label's change, is left out."""
    return {execution.origin.step: execution for execution in executions if execution.origin.step}


def _step_names(run: RunRecord, executions: Mapping[str, Execution]) -> list[str]:
    try:
        declared = json.loads(str(run.facts.get(vocabulary.STEPS, "[]")))
    except ValueError:
        declared = []
    return list(dict.fromkeys([*map(str, declared), *executions]))


def _line(
    run: RunRecord, found: Sequence[Execution], artifacts: Mapping[int, Artifact], makers: Mapping[int, Execution]
) -> RunLine:
    executions = _last_of_each(found)
    names = _step_names(run, executions)
    states = [_step(executions[name], {}, None).state if name in executions else "not run" for name in names]
    given = [artifacts[one] for each in executions.values() for one in each.all_outputs() if one in artifacts]
    metric = metric_of([one for one in given if one.type in _TOLD], makers)
    name, value = metric if metric is not None else ("", None)
    return RunLine(
        id=run.id,
        pipeline=_pipeline(run, found),
        state=_run_state(states),
        started=_started(run, found),
        seconds=_seconds(run, found),
        steps={state: states.count(state) for state in dict.fromkeys(states)},
        version=", ".join(_versions(given)),
        metric=name,
        value=value,
    )


def _versions(artifacts: Sequence[Artifact]) -> Iterator[str]:
    for artifact in artifacts:
        facts = artifact.properties
        if artifact.type == "PushedModel" and facts.get("pushed") == 1:
            yield f"{facts.get('model_name', '')}/{facts.get('pushed_version', '')}".removeprefix("/")


def _run_state(states: Sequence[str]) -> RunState:
    if "running" in states:
        return "running"
    if "failed" in states:
        return "failed"
    return "incomplete" if "not run" in states or not states else "complete"


def _pipeline(run: RunRecord, executions: Sequence[Execution]) -> str:
    first = executions[0].origin.pipeline if executions else ""
    return str(run.facts.get(vocabulary.PIPELINE, first))


def _started(run: RunRecord, executions: Sequence[Execution]) -> int:
    return min([run.created, *(execution.created for execution in executions)])


def _seconds(run: RunRecord, executions: Sequence[Execution]) -> float:
    began = _started(run, executions)
    return max([0, *(_ended(execution) - began for execution in executions)]) / 1000


def _ended(execution: Execution) -> int:
    """Return when an execution ended: now while it runs, when it began where nobody knows, else at its last record."""
    if _STATES.get(execution.state) == "running":
        return execution.created if is_gone(execution.properties) else time.time_ns() // 1_000_000
    left = execution.properties.get(vocabulary.END_REASON) == LEFT_BEHIND
    return execution.created if left else max(execution.created, execution.updated)
