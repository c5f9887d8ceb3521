"""A pipeline's history as OpenLineage events, for catalogues that read them.

Written from the specification 2-0-2 (https://openlineage.io/spec/2-0-2/OpenLineage.json) and that of each facet. A run
of a pipeline is a run of the job with the pipeline's name; each step is a job ``pipeline.step``, and each execution a
run of it whose parent is the pipeline's run. Ids are derived from names, so that a second export gives the same ones.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from penstock.metadata import openlineage_facets as facet
from penstock.metadata import vocabulary
from penstock.metadata.records import Artifact, Execution, artifact_record, scalar_properties
from penstock.metadata.scan import Page, Scan

Event = dict[str, Any]
Transition = Literal["START", "COMPLETE", "FAIL", "ABORT"]
_EVENT = f"{facet.SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"
_IDS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:penstock:openlineage")
_ENDS: Mapping[str, Transition] = {"COMPLETE": "COMPLETE", "CACHED": "COMPLETE", "FAILED": "FAIL", "CANCELED": "ABORT"}


@dataclass(frozen=True)
class Naming:
    """How jobs are named.

    Attributes:
        namespace: Of all jobs.
        repository: Address of the project's repository in a browser; empty where none is known.
    """

    namespace: str = "penstock"
    repository: str = ""


@dataclass
class _RunState:
    """What is known of a pipeline's run so far."""

    facts: Mapping[str, Any]
    began: int
    ended: int
    ends: list[Transition | None] = field(default_factory=list)


def events(scan: Scan, naming: Naming) -> Iterator[Event]:
    """Yield a START and an end for every run and for every execution of a step; what still runs has no end yet."""
    writer = _Writer(scan.pipeline, naming)
    for page in scan.pages():
        wanted = {event.artifact_id for found in page.events.values() for event in found}
        writer.artifacts = {one.id: artifact_record(one) for one in scan.artifacts(wanted)}
        for execution in page.executions:
            yield from writer.execution(page, execution)
    yield from writer.ends()


class _Writer:
    """Writes events; ``artifacts`` are those of the executions that come next."""

    def __init__(self, pipeline: str, naming: Naming) -> None:
        self.artifacts: Mapping[int, Artifact] = {}
        self._pipeline = pipeline
        self._naming = naming
        self._runs: dict[str, _RunState] = {}
        self._schemas: dict[int, list[dict[str, str]]] = {}
        self._described: dict[int, int] = {}

    def execution(self, page: Page, message: Any) -> Iterator[Event]:
        """Yield the events of an execution, before them that of its run's start if it is the first."""
        execution = _record(page, message)
        origin = execution.origin
        if not origin.step:
            return  # A label's change is no step of a run.
        if origin.run not in self._runs:
            self._runs[origin.run] = _RunState(_run_facts(page, execution.id), execution.created, execution.updated)
            yield self._of_run(origin.run, "START")
        state = self._runs[origin.run]
        end = _ENDS.get(execution.state)
        state.ended = max(state.ended, execution.updated)
        state.ends.append(end)
        self._learn_schemas(execution)
        yield self._of_step(execution, state, "START")
        if end is not None:
            yield self._of_step(execution, state, end)

    def ends(self) -> Iterator[Event]:
        """Yield the ends of the runs whose steps have all ended."""
        for run, state in self._runs.items():
            if None not in state.ends:
                worst: Transition = "FAIL" if "FAIL" in state.ends else "ABORT" if "ABORT" in state.ends else "COMPLETE"
                yield self._of_run(run, worst)

    def _of_run(self, run: str, transition: Transition) -> Event:
        state = self._runs[run]
        ended = transition != "START"
        facets = {
            "nominalTime": facet.nominal(state.began, state.ended if ended else None),
            **facet.engine(state.facts),
        }
        return {
            **_head(transition, state.ended if ended else state.began),
            "run": {"runId": self._run_id(run), "facets": facet.complete(facets)},
            "job": self._job(self._pipeline, "DAG", state.facts),
            "inputs": [],
            "outputs": [],
        }

    def _of_step(self, execution: Execution, state: _RunState, transition: Transition) -> Event:
        origin, ended = execution.origin, transition != "START"
        facets = {
            "parent": {
                "run": {"runId": self._run_id(origin.run)},
                "job": {"namespace": self._naming.namespace, "name": self._pipeline},
            },
            "nominalTime": facet.nominal(execution.created, execution.updated if ended else None),
            **facet.engine(state.facts),
            **({"errorMessage": facet.error(execution)} if transition == "FAIL" else {}),
        }
        return {
            **_head(transition, execution.updated if ended else execution.created),
            "run": {
                "runId": str(uuid.uuid5(_IDS, f"{self._naming.namespace} {self._pipeline} execution {execution.id}")),
                "facets": {**facet.complete(facets), "penstock_execution": facet.of_execution(execution)},
            },
            "job": self._job(f"{self._pipeline}.{origin.step}", "TASK", state.facts),
            "inputs": [self._dataset(self.artifacts[key]) for key in execution.all_inputs() if key in self.artifacts],
            "outputs": [
                self._dataset(self.artifacts[key], written=True)
                for key in execution.all_outputs()
                if ended and key in self.artifacts
            ],
        }

    def _run_id(self, run: str) -> str:
        return str(uuid.uuid5(_IDS, f"{self._naming.namespace} {self._pipeline} run {run}"))

    def _job(self, name: str, kind: str, facts: Mapping[str, Any]) -> Event:
        facets: Event = {"jobType": {"processingType": "BATCH", "integration": "PENSTOCK", "jobType": kind}}
        commit = facts.get(vocabulary.COMMIT)
        if commit:
            facets["sourceCodeLocation"] = self._location(str(commit), str(facts.get(vocabulary.CONFIG_FILE, "")))
        return {"namespace": self._naming.namespace, "name": name, "facets": facet.complete(facets)}

    def _location(self, commit: str, file: str) -> Event:
        repository = self._naming.repository.rstrip("/")
        place = {"repoUrl": repository} if repository else {}
        path = {"path": file} if file and not Path(file).is_absolute() else {}
        url = f"{repository}/tree/{commit}" if repository else f"urn:git:{commit}"
        return {"type": "git", "url": url, "version": commit, **place, **path}

    def _dataset(self, artifact: Artifact, *, written: bool = False) -> Event:
        namespace, name = place_of(artifact.uri)
        version = str(artifact.properties.get("digest", artifact.id))
        facets: Event = {"version": {"datasetVersion": version}}
        if artifact.id in self._schemas:
            facets["schema"] = {"fields": self._schemas[artifact.id]}
        told = facet.complete(facets) | {"penstock_artifact": facet.of_artifact(artifact)}
        dataset: Event = {"namespace": namespace, "name": name, "facets": told}
        rows = artifact.properties.get("rows")
        if written and isinstance(rows, int):
            dataset["outputFacets"] = facet.complete({"outputStatistics": {"rowCount": rows}})
        return dataset

    def _learn_schemas(self, execution: Execution) -> None:
        """Note which schema describes which examples: the one that was made of their statistics, or beside them."""
        inputs = [self.artifacts[key] for key in execution.all_inputs() if key in self.artifacts]
        outputs = [self.artifacts[key] for key in execution.all_outputs() if key in self.artifacts]
        examples = [one.id for one in inputs if one.type == "Examples"]
        for one in outputs:
            if one.type == "ExampleStatistics" and len(examples) == 1:
                self._described[one.id] = examples[0]
            if one.type != "Schema":
                continue
            of_statistics = [self._described[each.id] for each in inputs if each.id in self._described]
            beside = [each.id for each in outputs if each.type == "Examples"]
            for key in beside if "post_transform_schema" in one.uri else [] if beside else of_statistics:
                fields = facet.schema_fields(Path(one.uri) / "schema.pbtxt")
                if fields:
                    self._schemas[key] = fields


def place_of(uri: str) -> tuple[str, str]:
    """Return a dataset's namespace and name: ``file`` and the path, or ``gs://bucket`` and what is in it."""
    parts = urlsplit(uri)
    if "://" not in uri:
        return "file", uri or "/"
    return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/") or "/"


def _head(transition: Transition, time: int) -> Event:
    return {
        "eventType": transition,
        "eventTime": facet.timestamp(time),
        "producer": facet.PRODUCER,
        "schemaURL": _EVENT,
    }


def _run_facts(page: Page, execution: int) -> Mapping[str, Any]:
    found = [scalar_properties(one) for one in page.contexts[execution] if one.type == "pipeline_run"]
    return found[0] if found else {}


def _record(page: Page, message: Any) -> Execution:
    from ml_metadata.proto import metadata_store_pb2 as pb

    links: tuple[dict[str, list[int]], dict[str, list[int]]] = ({}, {})
    for event in page.events[message.id]:
        if event.type in (pb.Event.INPUT, pb.Event.OUTPUT):
            side = links[0 if event.type == pb.Event.INPUT else 1]
            side.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
    return Execution(
        id=message.id,
        state=pb.Execution.State.Name(message.last_known_state),
        properties=scalar_properties(message),
        inputs={key: tuple(links[0][key]) for key in sorted(links[0])},
        updated=message.last_update_time_since_epoch,
        outputs={key: tuple(links[1][key]) for key in sorted(links[1])},
        type=message.type,
        origin=page.origin(message.id),
        created=message.create_time_since_epoch,
    )
