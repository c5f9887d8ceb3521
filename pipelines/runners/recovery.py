"""Executions that nobody finishes any more: closed in ML Metadata, their half-written outputs removed.

Every execution says which run started it. Its own run closes it when its process died; a later one when that run is
known to be over: the later one holds the same lock, or it is on the same machine and the process is gone. What another
machine started in a root of its own is left alone, since only that root's next run can tell.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from penstock.metadata.vocabulary import NODE, OWNER
from penstock.pipelines.runners.owner import Owner

_LOG = logging.getLogger(__name__)
REASON = "penstock_reason"
WORKING_FOLDER = "__stateful_working_dir_index__"
"""TFX's name of the execution property that names the folder of :data:`_WORKING` that the execution uses."""
_SYSTEM = ".system"
_WORKING = "stateful_working_dir"
_TEMPORARY = "executor_execution"


def close_stale(store: Any, owner: Owner, reason: str) -> list[int]:
    """Mark as FAILED what earlier runs of a pipeline left RUNNING, and remove what they left on disk.

    Args:
        store: ML Metadata's store.
        owner: This run, which holds its root's lock.
        reason: Recorded with each closed execution.

    Returns:
        The ids of the closed executions.
    """
    return _close(store, lambda other, _: _is_over(other, owner), reason)


def abandon(store: Any, owner: Owner, steps: Collection[str], reason: str) -> list[int]:
    """Do the same with what this run itself started for ``steps``, whose processes are gone."""
    return _close(store, lambda other, step: other == owner and step in steps, reason)


def _is_over(other: Owner, owner: Owner) -> bool:
    if other.pipeline != owner.pipeline or other == owner:
        return False
    alive = other.alive()
    return not alive and (alive is False or other.lock == owner.lock)


def _close(store: Any, concerns: Callable[[Owner, str], bool], reason: str) -> list[int]:
    from ml_metadata.metadata_store import ListOptions
    from ml_metadata.proto import metadata_store_pb2

    closed = []
    for execution in store.get_executions(ListOptions(filter_query="last_known_state = RUNNING")):
        said = {key: value.string_value for key, value in execution.custom_properties.items()}
        step, owner = said.get(NODE, "").partition(".")[2], Owner.from_text(said.get(OWNER, ""))
        if owner is None or not concerns(owner, step):
            continue
        _remove_outputs(Path(owner.root) / step, execution.id, said.get(WORKING_FOLDER, ""))
        execution.last_known_state = metadata_store_pb2.Execution.FAILED
        execution.custom_properties[REASON].string_value = reason
        store.put_executions([execution])
        closed.append(execution.id)
        _LOG.info("closed execution %s of step %s as FAILED: %s", execution.id, step, reason)
    return closed


def _remove_outputs(folder: Path, execution_id: int, working: str) -> None:
    """Remove what TFX names after an execution in its step's folder, and nothing else."""
    if not folder.is_dir():
        return
    outputs = [child / str(execution_id) for child in folder.iterdir() if child.name != _SYSTEM]
    system = folder / _SYSTEM
    own = [*outputs, system / _TEMPORARY / str(execution_id), *([system / _WORKING / working] if working else [])]
    for path in own:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
