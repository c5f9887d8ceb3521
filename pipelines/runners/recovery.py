"""Executions that nobody finishes any more: closed in ML Metadata, their half-written outputs removed.

Every execution says which run started it. Its own run closes it when its process died; a later one when that run is
known to be over: the later one holds the same lock, or it is on the same machine and the process is gone. What another
machine started in a root of its own is left alone, since only that root's next run can tell.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penstock.metadata.owners import Owner
from penstock.metadata.vocabulary import END_REASON, NODE, OWNER

_LOG = logging.getLogger(__name__)
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
    return _close(store, lambda other: _is_over(other, owner), reason)


def abandon(store: Any, owner: Owner, run_id: str, reasons: Mapping[str, str]) -> list[int]:
    """Record why steps that this run itself started failed; none of their processes runs any more.

    What they left RUNNING is closed, as by :func:`close_stale`; what is FAILED already gets its reason, and the working
    folder goes that TFX leaves with it.

    Args:
        store: ML Metadata's store.
        owner: This run.
        run_id: Its name in ML Metadata.
        reasons: Step → why it failed.

    Returns:
        The ids of these executions.
    """
    run = store.get_context_by_type_and_name("pipeline_run", run_id)
    found = store.get_executions_by_context(run.id) if run is not None else []
    told = []
    for execution in found:
        step, other = _signature(execution)
        state = execution.last_known_state
        if other == owner and step in reasons and state in (execution.RUNNING, execution.FAILED):
            _end(store, execution, reasons[step])
            told.append(execution.id)
    return told


def _is_over(other: Owner, owner: Owner) -> bool:
    if other.pipeline != owner.pipeline or other == owner:
        return False
    alive = other.alive()
    return not alive and (alive is False or other.lock == owner.lock)


def _close(store: Any, concerns: Callable[[Owner], bool], reason: str) -> list[int]:
    from ml_metadata.metadata_store import ListOptions

    closed = []
    for execution in store.get_executions(ListOptions(filter_query="last_known_state = RUNNING")):
        owner = _signature(execution)[1]
        if owner is not None and concerns(owner):
            _end(store, execution, reason)
            closed.append(execution.id)
    return closed


def _signature(execution: Any) -> tuple[str, Owner | None]:
    """Return an execution's step and owner, as the runner signs it."""
    said = execution.custom_properties
    node, owner = (said[key].string_value if key in said else "" for key in (NODE, OWNER))
    return node.partition(".")[2], Owner.from_text(owner)


def _end(store: Any, execution: Any, reason: str) -> None:
    step, owner = _signature(execution)
    said = execution.custom_properties
    if owner is not None:
        working = said[WORKING_FOLDER].string_value if WORKING_FOLDER in said else ""
        _remove_outputs(Path(owner.root) / step, execution.id, working)
    execution.last_known_state = execution.FAILED
    said[END_REASON].string_value = reason
    store.put_executions([execution])
    _LOG.info("execution %s of step %s is FAILED: %s", execution.id, step, reason)


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
