"""Reads all of a pipeline's part of a metadata store, a page at a time, so that a store of any size fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from penstock.metadata.connection import explained, open_store
from penstock.metadata.records import Origin
from penstock.metadata.server import Location

PAGE = 100
"""Executions of a page: what ML Metadata answers in one lineage query."""


@dataclass(frozen=True)
class Page:
    """Some executions with what belongs to them, all as ML Metadata's own messages.

    Attributes:
        executions: In ascending order of their ids.
        events: Execution → its events, in the order in which they were recorded.
        contexts: Execution → its contexts, in ascending order of their ids.
    """

    executions: tuple[Any, ...]
    events: dict[int, list[Any]]
    contexts: dict[int, list[Any]]

    def origin(self, execution: int) -> Origin:
        """Return where an execution belongs."""
        names = {context.type: context.name for context in self.contexts[execution]}
        pipeline = names.get("pipeline", "")
        # TFX names the node's context after pipeline and step.
        return Origin(pipeline, names.get("pipeline_run", ""), names.get("node", "").removeprefix(f"{pipeline}."))


class Scan:
    """One pipeline's part of a store, opened read-only.

    Args:
        location: The store.
        pipeline: The pipeline's name.

    Raises:
        EnvironmentProblem: The store cannot be read; so do all methods.
    """

    def __init__(self, location: Location, pipeline: str) -> None:
        self.location = location
        self.pipeline = pipeline
        with explained(location):
            self._store = open_store(location)
            context = self._store.get_context_by_type_and_name("pipeline", pipeline)
        self._context = context.id if context is not None else 0

    def pages(self) -> Iterator[Page]:
        """Yield the pipeline's executions, oldest first."""
        last = 0
        while True:
            with explained(self.location):
                executions = self._store.get_executions(self._options(last))
                page = self._page(executions) if executions else None
            if page is None:
                return
            yield page
            last = executions[-1].id

    def artifacts(self, ids: Iterable[int]) -> Iterator[Any]:
        """Yield artifacts in ascending order of their ids; those that the store does not have are left out."""
        for some in _slices(sorted(set(ids))):
            with explained(self.location):
                found = sorted(self._store.get_artifacts_by_id(some), key=lambda artifact: artifact.id)
            yield from found

    def attributed(self) -> Iterator[int]:
        """Yield the ids of the artifacts that the store says belong to the pipeline, whatever made them."""
        last = 0
        while True:
            with explained(self.location):
                found = self._store.get_artifacts(self._options(last))
            if not found:
                return
            yield from (artifact.id for artifact in found)
            last = found[-1].id

    def pipelines(self) -> list[str]:
        """Return the names of all pipelines of the store."""
        with explained(self.location):
            return sorted(context.name for context in self._store.get_contexts_by_type("pipeline"))

    def used_elsewhere(self, ids: Iterable[int]) -> set[int]:
        """Return those of some artifacts that an execution of another pipeline worked with."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        used: set[int] = set()
        for some in _slices(sorted(set(ids))):
            with explained(self.location):
                events = [one for one in self._store.get_events_by_artifact_ids(some) if one.type == pb.Event.INPUT]
                readers = sorted({one.execution_id for one in events})
                ours = {key for few in _slices(readers) for key in self._ours(few)}
            used |= {one.artifact_id for one in events if one.execution_id not in ours}
        return used

    def _ours(self, executions: Sequence[int]) -> set[int]:
        return {
            key
            for key, contexts in self._contexts(executions).items()
            if any(context.type == "pipeline" and context.name == self.pipeline for context in contexts)
        }

    def _options(self, after: int) -> Any:
        """Return how to ask for a page of what belongs to the pipeline."""
        from ml_metadata.metadata_store import ListOptions, OrderByField

        query = f"contexts_p.id = {self._context} AND id > {after}"
        return ListOptions(limit=PAGE, order_by=OrderByField.ID, is_asc=True, filter_query=query)

    def _page(self, executions: Sequence[Any]) -> Page:
        ids = [execution.id for execution in executions]
        events: dict[int, list[Any]] = {key: [] for key in ids}
        for event in self._store.get_events_by_execution_ids(ids):
            events[event.execution_id].append(event)
        return Page(tuple(executions), events, self._contexts(ids))

    def _contexts(self, ids: Sequence[int]) -> dict[int, list[Any]]:
        from ml_metadata.proto import metadata_store_pb2 as pb

        options = pb.LineageSubgraphQueryOptions(max_num_hops=0)
        options.starting_executions.filter_query = f"id IN ({', '.join(map(str, ids))})"
        graph = self._store.get_lineage_subgraph(options, ["contexts", "associations"])
        contexts = {context.id: context for context in graph.contexts}
        found: dict[int, list[Any]] = {key: [] for key in ids}
        for link in sorted(graph.associations, key=lambda link: link.context_id):
            found[link.execution_id].append(contexts[link.context_id])
        return found


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    return (ids[start : start + PAGE] for start in range(0, len(ids), PAGE))
