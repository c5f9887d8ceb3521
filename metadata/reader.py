"""Reads one pipeline's part of a metadata store in sets: a question takes a few calls, however long the history is.

Asking for the events of an artifact gives one for every run that has ever taken it from the cache. A ``filter_query``
leaves those out in the database, and answers in milliseconds on ten thousand artifacts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from penstock.metadata.connection import explained, open_store
from penstock.metadata.records import Artifact, Execution, Origin, RunRecord, artifact_record, scalar_properties
from penstock.metadata.server import Location

_AT_ONCE = 100
"""Nodes of one lineage query: ML Metadata's own limit."""
_PLAIN = re.compile(r"[\w.:-]+")
"""What may stand in a LIKE; run ids hold nothing else."""
_NOT_CACHED = "last_known_state != CACHED"


class Reader:
    """One pipeline's part of a store, opened read-only.

    Args:
        location: The store.
        pipeline: The pipeline's name; executions of others are never returned. None: all pipelines.

    Raises:
        EnvironmentProblem: The store cannot be read.
    """

    def __init__(self, location: Location, pipeline: str | None = None) -> None:
        from ml_metadata.proto import metadata_store_pb2

        self.location = location
        self.pipeline = pipeline
        self._pb = metadata_store_pb2
        self._store = open_store(location)

    @cached_property
    def pipelines(self) -> tuple[str, ...]:
        """The names of all pipelines of the store, sorted."""
        with explained(self.location):
            return tuple(sorted(context.name for context in self._store.get_contexts_by_type("pipeline")))

    def newest_runs(self, limit: int) -> list[RunRecord]:
        """Return the newest runs, the newest first."""
        with explained(self.location):
            if self.pipeline is None or self.pipelines == (self.pipeline,):
                return [_run(context) for context in self._contexts("type = 'pipeline_run'", limit)]
            return list(self._runs_of_pipeline(limit))

    def runs_named(self, prefix: str) -> list[RunRecord]:
        """Return the runs whose id begins so, the newest first; at most 100."""
        if not _PLAIN.fullmatch(prefix):
            return []
        with explained(self.location):
            found = self._contexts(f"type = 'pipeline_run' AND name LIKE '{prefix}%'", _AT_ONCE)
            runs = [_run(context) for context in found if context.name.startswith(prefix)]
            return [run for run in runs if self._is_ours(run)]

    def executions_of(self, run: RunRecord) -> list[Execution]:
        """Return a run's executions, in the order in which they were recorded."""
        with explained(self.location):
            return self._records(self._store.get_executions_by_context(run.context))

    def executions_of_runs(self, runs: Sequence[RunRecord]) -> dict[str, list[Execution]]:
        """Return the executions of several runs, by the run's id."""
        with explained(self.location):
            found = {run.id: self._store.get_executions_by_context(run.context) for run in runs}
            records = {one.id: one for one in self._records([one for each in found.values() for one in each])}
        ids = {run: sorted(one.id for one in each if one.id in records) for run, each in found.items()}
        return {run: [records[key] for key in keys] for run, keys in ids.items()}

    def newest_of_step(self, step: str, limit: int, states: Sequence[str] = ("COMPLETE", "CACHED")) -> list[Execution]:
        """Return the newest executions of a step in any run, the newest first."""
        wanted = " OR ".join(f"last_known_state = {state}" for state in states)
        node = _quoted(f"{self.pipeline}.{step}")
        with explained(self.location):
            query = f"contexts_n.type = 'node' AND contexts_n.name = {node} AND ({wanted})"
            found = self._records(self._executions(query, limit))
        return sorted(found, key=lambda execution: -execution.id)

    def artifacts(self, ids: Iterable[int]) -> dict[int, Artifact]:
        """Return artifacts by their ids; those that the store does not have are left out."""
        wanted = sorted(set(ids))
        with explained(self.location):
            found = self._store.get_artifacts_by_id(wanted) if wanted else []
        return {artifact.id: artifact_record(artifact) for artifact in found}

    def makers(self, artifacts: Iterable[int]) -> dict[int, Execution]:
        """Return for each artifact the execution that made it; one that only took it from the cache did not."""
        wanted = set(artifacts)
        made: dict[int, Execution] = {}
        for execution in self._linked(wanted, "OUTPUT"):
            for artifact in wanted.intersection(execution.all_outputs()):
                made.setdefault(artifact, execution)
        return made

    def users(self, artifacts: Iterable[int], limit: int) -> list[Execution]:
        """Return the executions that worked with one of the artifacts, oldest first; not those that were cached."""
        return self._linked(artifacts, "INPUT", limit)

    def find(self, query: str, limit: int = _AT_ONCE) -> list[Artifact]:
        """Return the artifacts that a ``filter_query`` is true for, the newest first, of any pipeline."""
        with explained(self.location):
            options = self._options(query, limit)
            return [artifact_record(artifact) for artifact in self._store.get_artifacts(options)]

    def find_by_uri(self, uri: str) -> list[Artifact]:
        """Return the artifacts at exactly this URI, the newest first, of any pipeline."""
        with explained(self.location):
            found = [artifact_record(artifact) for artifact in self._store.get_artifacts_by_uri(uri)]
        return sorted(found, key=lambda artifact: -artifact.id)

    def of_type(self, kind: str) -> list[Artifact]:
        """Return the artifacts of a type, oldest first, of any pipeline."""
        with explained(self.location):
            known = {found.name for found in self._store.get_artifact_types()}
            found = self._store.get_artifacts_by_type(kind) if kind in known else []
        return sorted(map(artifact_record, found), key=lambda artifact: artifact.id)

    def _linked(self, artifacts: Iterable[int], event: str, limit: int | None = None) -> list[Execution]:
        found: dict[int, Execution] = {}
        with explained(self.location):
            for ids in _slices(sorted(set(artifacts))):
                listed = ", ".join(map(str, ids))
                query = f"events_0.artifact_id IN ({listed}) AND events_0.type = {event} AND {_NOT_CACHED}"
                records = self._records(self._executions(query, limit, is_asc=True))
                found |= {execution.id: execution for execution in records}
        return [found[key] for key in sorted(found)][:limit]

    def _records(self, executions: Sequence[Any]) -> list[Execution]:
        """Return ML Metadata's messages as records, those of other pipelines left out; ordered by id."""
        by_id = {execution.id: execution for execution in executions}
        origins = {key: origin for ids in _slices(sorted(by_id)) for key, origin in self._origins(ids).items()}
        ours = [key for key in sorted(by_id) if self.pipeline in (None, origins[key].pipeline)]
        links = self._links(ours)
        states = self._pb.Execution.State
        return [
            Execution(
                id=key,
                state=states.Name(by_id[key].last_known_state),
                properties=scalar_properties(by_id[key]),
                inputs=links[key][0],
                updated=by_id[key].last_update_time_since_epoch,
                outputs=links[key][1],
                type=by_id[key].type,
                origin=origins[key],
                created=by_id[key].create_time_since_epoch,
            )
            for key in ours
        ]

    def _origins(self, ids: Sequence[int]) -> dict[int, Origin]:
        options = self._pb.LineageSubgraphQueryOptions(max_num_hops=0)
        options.starting_executions.filter_query = f"id IN ({', '.join(map(str, ids))})"
        graph = self._store.get_lineage_subgraph(options, ["contexts", "associations"])
        contexts = {context.id: (context.type, context.name) for context in graph.contexts}
        of_execution: dict[int, dict[str, str]] = {key: {} for key in ids}
        for link in graph.associations:
            kind, name = contexts[link.context_id]
            of_execution[link.execution_id][kind] = name
        return {key: _origin(names) for key, names in of_execution.items()}

    def _links(self, ids: Sequence[int]) -> dict[int, tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]]:
        links: dict[int, tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = {key: ({}, {}) for key in ids}
        sides = {self._pb.Event.INPUT: 0, self._pb.Event.OUTPUT: 1}
        for event in self._store.get_events_by_execution_ids(ids) if ids else ():
            if event.type not in sides:
                continue
            side = links[event.execution_id][sides[event.type]]
            key = event.path.steps[0].key if event.path.steps else ""
            side[key] = (*side.get(key, ()), event.artifact_id)
        return links

    def _runs_of_pipeline(self, limit: int) -> Iterator[RunRecord]:
        """Yield the newest runs of one pipeline among several: the runs of its newest executions."""
        query = f"contexts_p.type = 'pipeline' AND contexts_p.name = {_quoted(self.pipeline or '')}"
        seen: dict[str, None] = {}
        before = ""
        while len(seen) < limit:
            page = self._executions(query + before, _AT_ONCE)
            if not page:
                break
            oldest = min(execution.id for execution in page)
            before = f" AND id < {oldest}"
            origins = self._origins([execution.id for execution in page])
            seen |= dict.fromkeys(origins[key].run for key in sorted(origins, reverse=True))
        for name in [run for run in seen if run][:limit]:
            yield _run(self._store.get_context_by_type_and_name("pipeline_run", name))

    def _is_ours(self, run: RunRecord) -> bool:
        if self.pipeline is None or self.pipelines == (self.pipeline,):
            return True
        first = self._store.get_executions_by_context(run.context)[:1]
        return bool(self._records(first))

    def _executions(self, query: str, limit: int | None, *, is_asc: bool = False) -> list[Any]:
        return list(self._store.get_executions(self._options(query, limit, is_asc=is_asc)))

    def _contexts(self, query: str, limit: int) -> list[Any]:
        return list(self._store.get_contexts(self._options(query, limit)))

    def _options(self, query: str, limit: int | None, *, is_asc: bool = False) -> Any:
        from ml_metadata.metadata_store import ListOptions, OrderByField

        return ListOptions(limit=limit, order_by=OrderByField.ID, is_asc=is_asc, filter_query=query)


def _run(context: Any) -> RunRecord:
    return RunRecord(context.name, context.id, context.create_time_since_epoch, scalar_properties(context))


def _origin(names: dict[str, str]) -> Origin:
    pipeline = names.get("pipeline", "")
    # TFX names the node's context after pipeline and step.
    return Origin(pipeline, names.get("pipeline_run", ""), names.get("node", "").removeprefix(f"{pipeline}."))


def _quoted(text: str) -> str:
    """Return a text as a filter_query takes it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
