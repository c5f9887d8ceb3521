"""Runs, executions and artifacts of one pipeline, read from its metadata store. Needs ml_metadata, not TFX."""

from __future__ import annotations

from typing import Any

from penstock.metadata.connection import open_store
from penstock.metadata.records import Artifact, Execution, artifact_record, scalar_properties
from penstock.metadata.server import Location
from penstock.metadata.vocabulary import NODE

_NEWEST = 20
"""Of so many recorded last, the one that ended last."""


class Store:
    """One pipeline's part of a metadata store.

    Args:
        location: The store, opened read-only.
        pipeline: The pipeline's name; nothing of other pipelines in the store is ever returned.
    """

    def __init__(self, location: Location, pipeline: str) -> None:
        from ml_metadata.proto import metadata_store_pb2

        self._store = open_store(location)
        self._pb = metadata_store_pb2
        self._pipeline = pipeline

    def outputs(self, run_id: str, step: str) -> dict[str, list[Artifact]]:
        """Return what ``step`` gave in a run, cached and reused outputs included; empty when it gave nothing."""
        in_run = self._executions("pipeline_run", run_id)
        if all(NODE in execution.custom_properties for execution in in_run.values()):
            node = f"{self._pipeline}.{step}"
            ids = sorted(key for key, found in in_run.items() if found.custom_properties[NODE].string_value == node)
        else:
            ids = sorted(self._executions("node", f"{self._pipeline}.{step}").keys() & in_run.keys())
        return self._outputs(ids[-1:])

    def last_success(self, step: str) -> Execution | None:
        """Return the newest execution of ``step`` that ended well, in any run, or None."""
        from ml_metadata.metadata_store import ListOptions, OrderByField

        newest_first = ListOptions(
            limit=_NEWEST,
            order_by=OrderByField.ID,  # By time, ML Metadata 1.17 asks PostgreSQL what that refuses.
            is_asc=False,
            filter_query="last_known_state = COMPLETE OR last_known_state = CACHED",
        )
        ended = list(self._executions("node", f"{self._pipeline}.{step}", newest_first).values())
        if not ended:
            return None
        newest = max(ended, key=lambda execution: (execution.last_update_time_since_epoch, execution.id))
        return Execution(
            id=newest.id,
            state=self._pb.Execution.State.Name(newest.last_known_state),
            properties=scalar_properties(newest),
            inputs=self._inputs(newest.id),
            updated=newest.last_update_time_since_epoch,
        )

    def _executions(self, context_type: str, name: str, options: Any = None) -> dict[int, Any]:
        context = self._store.get_context_by_type_and_name(context_type, name)
        found = self._store.get_executions_by_context(context.id, options) if context is not None else []
        return {execution.id: execution for execution in found}

    def _inputs(self, execution_id: int) -> dict[str, tuple[int, ...]]:
        inputs: dict[str, list[int]] = {}
        for event in self._store.get_events_by_execution_ids([execution_id]):
            if event.type == self._pb.Event.INPUT:
                inputs.setdefault(event.path.steps[0].key, []).append(event.artifact_id)
        return {key: tuple(ids) for key, ids in inputs.items()}

    def _outputs(self, execution_ids: list[int]) -> dict[str, list[Artifact]]:
        events = self._store.get_events_by_execution_ids(execution_ids) if execution_ids else []
        keys = {event.artifact_id: event.path.steps[0].key for event in events if event.type == self._pb.Event.OUTPUT}
        outputs: dict[str, list[Artifact]] = {}
        for artifact in self._store.get_artifacts_by_id(list(keys)) if keys else []:
            outputs.setdefault(keys[artifact.id], []).append(artifact_record(artifact))
        return outputs
