"""Promotions and rollbacks in ML Metadata: one execution each, beside those of the pipeline that pushed the version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.metadata.connection import explained, open_store
from penstock.metadata.server import Location

EXECUTION_TYPE = "penstock.LabelChange"
_PIPELINE_CONTEXT = "pipeline"
_INPUT = "pushed_model"


@dataclass(frozen=True)
class LabelChange:
    """A label that was moved, or was to be.

    Attributes:
        kind: ``promote`` or ``rollback``.
        model: The model's name.
        label: The label.
        before: The version that it pointed to; None when it is new.
        after: The version that it was to point to.
        config: The ``models.config``.
        error: Why it was not moved; None when it was.
        time: When, in milliseconds since 1970; 0 for a change that is yet to be recorded.
    """

    kind: str
    model: str
    label: str
    before: int | None
    after: int
    config: str
    error: str | None = None
    time: int = 0


def record_change(store: Location, change: LabelChange, pushed_model: int) -> int:
    """Record a change as an execution whose input is the pushed model.

    Args:
        store: Where the store is.
        change: The change.
        pushed_model: Id of the artifact of the version that the label was to point to.

    Returns:
        The execution's id.

    Raises:
        EnvironmentProblem: The store is not there or cannot be written.
    """
    with explained(store):
        return _put(open_store(store, writable=True), change, pushed_model)


def label_changes(store: Location, model: str) -> list[LabelChange]:
    """Return the recorded changes of a model's labels, oldest first."""
    with explained(store):
        opened = open_store(store)
        known = {found.name for found in opened.get_execution_types()}
        executions = opened.get_executions_by_type(EXECUTION_TYPE) if EXECUTION_TYPE in known else []
    changes = [_change(execution) for execution in sorted(executions, key=lambda execution: execution.id)]
    return [change for change in changes if change.model == model]


def _put(store: Any, change: LabelChange, pushed_model: int) -> int:
    from ml_metadata.proto import metadata_store_pb2 as pb

    texts = dict.fromkeys(("kind", "model", "label", "config", "error"), pb.STRING)
    numbers = dict.fromkeys(("before", "after"), pb.INT)
    kind = store.put_execution_type(pb.ExecutionType(name=EXECUTION_TYPE, properties={**texts, **numbers}))
    state = pb.Execution.FAILED if change.error else pb.Execution.COMPLETE
    execution = pb.Execution(type_id=kind, last_known_state=state)
    for name in (*texts, *numbers):
        value = getattr(change, name)
        if value is not None:
            setattr(execution.properties[name], "string_value" if name in texts else "int_value", value)
    (pushed,) = store.get_artifacts_by_id([pushed_model])
    event = pb.Event(type=pb.Event.INPUT)
    event.path.steps.add().key = _INPUT
    event.path.steps.add().index = 0
    contexts = [
        context for context in store.get_contexts_by_artifact(pushed_model) if context.type == _PIPELINE_CONTEXT
    ]
    execution_id, _, _ = store.put_execution(execution, [(pushed, event)], contexts)
    return int(execution_id)


def _change(execution: Any) -> LabelChange:
    properties: Mapping[str, Any] = execution.properties
    return LabelChange(
        kind=properties["kind"].string_value,
        model=properties["model"].string_value,
        label=properties["label"].string_value,
        before=properties["before"].int_value if "before" in properties else None,
        after=properties["after"].int_value,
        config=properties["config"].string_value,
        error=properties["error"].string_value if "error" in properties else None,
        time=execution.create_time_since_epoch,
    )
