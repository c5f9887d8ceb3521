"""TFX's launcher with look-ups whose cost does not grow with the number of earlier runs. Imports TFX.

TFX's own launcher reads, for each step, every execution of the step and of its cache entry. Here the outputs of a step
of this run are asked of the run, which has few executions, and the earlier result of the cache entry, which names it.
What is recorded is what TFX records.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import constants
from tfx.orchestration import data_types_utils
from tfx.orchestration.portable import cache_utils, execution_publish_utils, inputs_utils
from tfx.orchestration.portable.input_resolution import channel_resolver
from tfx.orchestration.portable.launcher import Launcher, _ExecutionPreparationResult
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.types import artifact_utils

from penstock.metadata.vocabulary import END_REASON, NODE

RESULT = "penstock_result"
"""The custom property of a cache entry's context that holds the id of the newest execution with that key."""
_PUSHED_TO = "pushed_destination"

Artifacts = Mapping[str, Sequence[Any]]

_of_all_contexts = channel_resolver._get_executions_by_all_contexts  # noqa: SLF001  TFX has no hook for it.


def _in_run(store: Any, contexts: Sequence[Any]) -> list[Any]:
    """Do what TFX's function does from the run's side: a step has as many executions as there ever were runs."""
    kinds = {context.type: context for context in contexts}
    run = kinds.get(constants.PIPELINE_RUN_CONTEXT_TYPE_NAME)
    node = kinds.get(constants.NODE_CONTEXT_TYPE_NAME)
    found = store.get_executions_by_context(run.id) if run and node else []
    if not (run and node) or not all(NODE in execution.custom_properties for execution in found):
        return list(_of_all_contexts(store, contexts))
    return [execution for execution in found if execution.custom_properties[NODE].string_value == node.name]


channel_resolver._get_executions_by_all_contexts = _in_run  # noqa: SLF001


class _Inputs(NamedTuple):
    """What an execution would get, and the cache entry that this makes it ask.

    ``declared`` are the properties that are recorded, ``properties`` those with what the component's driver adds.
    """

    contexts: list[Any]
    artifacts: Artifacts
    declared: dict[str, Any]
    properties: dict[str, Any]
    entry: Any


class StepLauncher(Launcher):  # type: ignore[misc]  # TFX has no types.
    """Launches one step of one run.

    Attributes:
        tell: Makes of what the step raised the reason that is recorded; None records none.
    """

    tell: Callable[[BaseException], str] | None = None

    @property
    def looks_up(self) -> bool:
        """Whether the step runs nothing: it finds artifacts in the store."""
        return self._executor_operator is None

    def from_cache(self) -> Any | None:
        """Take an earlier result and record that, in one write.

        Returns:
            TFX's ``ExecutionInfo``; None when the step must run.

        Raises:
            Exception: The inputs cannot be resolved, or the component's driver fails.
        """
        if not self._pipeline_node.execution_options.caching_options.enable_cache:
            return None
        with self._mlmd_connection as handle:
            inputs = self._inputs(handle)
            outputs = newest_result(handle.store, inputs.entry) if inputs else None
            if inputs is None or outputs is None:
                return None
            execution = execution_lib.prepare_execution(
                handle,
                self._pipeline_node.node_info.type,
                metadata_store_pb2.Execution.CACHED,
                inputs.declared,
                execution_name=str(uuid.uuid4()),
            )
            contexts = [*inputs.contexts, inputs.entry]
            execution_lib.put_execution(handle, execution, contexts, inputs.artifacts, outputs)
        return self._build_execution_info(
            execution_id=execution.id,
            input_dict=inputs.artifacts,
            output_dict=outputs,
            exec_properties=inputs.properties,
        )

    def _inputs(self, handle: Any) -> _Inputs | None:
        """Resolve what the step would get; None where an input that it needs is not there."""
        node = self._pipeline_node
        contexts = context_lib.prepare_contexts(handle, node.contexts)
        resolved = inputs_utils.resolve_input_artifacts(pipeline_node=node, metadata_handle=handle)
        if len(resolved) != 1 or _has_placeholders(node.parameters):
            return None
        declared = data_types_utils.build_parsed_value_dict(
            inputs_utils.resolve_parameters_with_schema(node.parameters)
        )
        properties = dict(declared)  # A driver writes into it, and what it writes may be None.
        # The cache key leaves out their URIs, which alone depend on the execution.
        outputs = self._output_resolver.generate_output_artifacts(0)
        if self._driver_operator:
            asked = self._build_execution_info(input_dict=resolved[0], output_dict=outputs, exec_properties=properties)
            self._update_with_driver_output(self._driver_operator.run_driver(asked), properties, outputs)
        entry = cache_utils.get_cache_context(
            metadata_handle=handle,
            pipeline_node=node,
            pipeline_info=self._pipeline_info,
            executor_spec=self._executor_spec,
            input_artifacts=resolved[0],
            output_artifacts=outputs,
            parameters=properties,
        )
        return _Inputs(contexts, resolved[0], declared, properties, entry)

    def _prepare_execution(self) -> Any:
        """Look for an earlier result; else prepare as TFX does and name this execution in its cache entry."""
        found = self.from_cache()
        if found is not None:
            return _ExecutionPreparationResult(execution_info=found, is_execution_needed=False)
        caching = self._pipeline_node.execution_options.caching_options
        # TFX would look again, in its own way.
        wanted, caching.enable_cache = caching.enable_cache, False
        prepared = super()._prepare_execution()
        caching.enable_cache = wanted
        if prepared.is_execution_needed:
            with self._mlmd_connection as handle:
                _point(handle.store, prepared.contexts[-1], prepared.execution_info.execution_id)
        return prepared

    def _publish_failed_execution(self, execution_id: int, contexts: Any, executor_output: Any = None) -> None:
        """Publish as TFX does, which calls this while it handles what was raised, and record the reason with it."""
        raised = sys.exc_info()[1]
        with self._mlmd_connection as handle:
            (execution,) = handle.store.get_executions_by_id([execution_id])
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
            if raised is not None and self.tell is not None:
                execution.custom_properties[END_REASON].string_value = self.tell(raised)
            execution_publish_utils.set_execution_result_if_not_empty(executor_output, execution)
            execution_lib.put_execution(handle, execution, contexts)

    def _register_or_reuse_execution(
        self, metadata_handle: Any, contexts: Any, input_artifacts: Any = None, exec_properties: Any = None
    ) -> Any:
        """Register: a run has a new name and launches a step once, so there is nothing to look for."""
        return execution_publish_utils.register_execution(
            metadata_handle=metadata_handle,
            execution_type=self._pipeline_node.node_info.type,
            contexts=contexts,
            input_artifacts=input_artifacts,
            exec_properties=exec_properties,
        )


def newest_result(store: Any, entry: Any) -> dict[str, list[Any]] | None:
    """Return the outputs of the newest execution of a cache entry that ended well and whose outputs are all there.

    The entry names it. One whose execution failed or has lost outputs, or that an older version made, is searched as
    TFX searches it, once.
    """
    named = entry.custom_properties[RESULT].int_value if RESULT in entry.custom_properties else 0
    outputs = _whole(store, store.get_executions_by_id([named])) if named else None
    if outputs is not None:
        return outputs
    others = [execution for execution in store.get_executions_by_context(entry.id) if execution.id != named]
    for execution in execution_lib.sort_executions_newest_to_oldest(others):
        outputs = _whole(store, [execution])
        if outputs is not None:
            _point(store, entry, execution.id)
            return outputs
    return None


class Lost(NamedTuple):
    """An earlier result that would be used if its outputs were there.

    Attributes:
        outputs: The ids of its artifacts.
        removed: Whether they are marked as deleted, as ``penstock gc`` does; else files are missing.
    """

    outputs: tuple[int, ...]
    removed: bool


def lost_result(store: Any, entry: Any, execution_id: int) -> Lost | None:
    """Return the newest result of a cache entry in which nothing whole was found; None where it never had any.

    Args:
        store: ML Metadata's store.
        entry: The cache entry's context: the last of those that the launcher prepared.
        execution_id: The execution that was prepared for it, which is not looked at.
    """
    earlier = [execution for execution in store.get_executions_by_context(entry.id) if execution.id != execution_id]
    ended = [execution for execution in earlier if execution_lib.is_execution_successful(execution)]
    if not ended:
        return None
    newest = max(ended, key=lambda execution: int(execution.id))
    events = store.get_events_by_execution_ids([newest.id])
    outputs = store.get_artifacts_by_id([event.artifact_id for event in events if event.type == event.OUTPUT])
    removed = any(output.state == metadata_store_pb2.Artifact.DELETED for output in outputs)
    return Lost(tuple(sorted(output.id for output in outputs)), removed)


def _whole(store: Any, executions: Sequence[Any]) -> dict[str, list[Any]] | None:
    """Return the outputs of an execution that ended well; None where it did not, or one of them is gone."""
    if not executions or not execution_lib.is_execution_successful(executions[0]):
        return None
    outputs: dict[str, list[Any]] = {}
    events = store.get_events_by_execution_ids([executions[0].id])
    keys = {event.artifact_id: event.path.steps[0].key for event in events if event.type == event.OUTPUT}
    artifacts = store.get_artifacts_by_id(list(keys)) if keys else []
    types = store.get_artifact_types_by_id([artifact.type_id for artifact in artifacts]) if artifacts else []
    for artifact, kind in zip(artifacts, types, strict=True):
        outputs.setdefault(keys[artifact.id], []).append(artifact_utils.deserialize_artifact(kind, artifact))
    return outputs if all(_is_there(artifact) for found in outputs.values() for artifact in found) else None


def _is_there(artifact: Any) -> bool:
    if artifact.mlmd_artifact.state != metadata_store_pb2.Artifact.LIVE:
        return False
    try:
        artifact_utils.verify_artifacts([artifact])
    except RuntimeError:
        return False
    # A push is a folder outside of the root, which others may remove; what is behind a URL is not asked.
    published = artifact.get_string_custom_property(_PUSHED_TO)
    return "://" in published or not published or Path(published).exists()


def _point(store: Any, entry: Any, execution_id: int) -> None:
    entry.custom_properties[RESULT].int_value = execution_id
    store.put_contexts([entry])


def _has_placeholders(parameters: Any) -> bool:
    values: Iterable[Any] = parameters.parameters.values()
    return any(value.HasField("placeholder") for value in values)
