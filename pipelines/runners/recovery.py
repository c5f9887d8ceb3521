"""Executions that nobody finishes any more: closed in ML Metadata, their half-written outputs removed."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from penstock.pipelines.graph import Graph

_LOG = logging.getLogger(__name__)
REASON = "penstock_reason"


def close_stale(handle: Any, graph: Graph, reason: str, steps: Collection[str] | None = None) -> list[int]:
    """Mark the pipeline's RUNNING executions as FAILED and remove what they left on disk.

    The caller holds the root's lock, so no other run of this pipeline can be alive.

    Args:
        handle: An open TFX metadata handle.
        graph: The pipeline; executions of other pipelines in the store are not touched.
        reason: Recorded with each closed execution.
        steps: Only executions of these steps; None for all.

    Returns:
        The ids of the closed executions.
    """
    from ml_metadata.proto import metadata_store_pb2

    closed = []
    for name in steps if steps is not None else graph.steps:
        context = handle.store.get_context_by_type_and_name("node", f"{graph.name}.{name}")
        if context is None:
            continue
        for execution in handle.store.get_executions_by_context(context.id):
            if execution.last_known_state != metadata_store_pb2.Execution.RUNNING:
                continue
            _remove_outputs(graph, name, execution.id)
            execution.last_known_state = metadata_store_pb2.Execution.FAILED
            execution.custom_properties[REASON].string_value = reason
            handle.store.put_executions([execution])
            closed.append(execution.id)
            _LOG.info("closed execution %s of step %s as FAILED: %s", execution.id, name, reason)
    return closed


def _remove_outputs(graph: Graph, step: str, execution_id: int) -> None:
    """Remove the folders that TFX names after the execution: only a step's own, only below the root."""
    if "://" in graph.root:
        return
    base = Path(graph.root) / step
    folders = [base / output / str(execution_id) for output in graph.steps[step].outputs]
    folders += [base / ".system" / kind / str(execution_id) for kind in ("executor_execution", "stateful_working_dir")]
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
