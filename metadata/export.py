"""A pipeline's part of a metadata store as JSON Lines, one object a line, in an order that depends on nothing else.

The lines, each with its ``kind``:

- ``store``: first: ``format``, ``pipeline``;
- ``context``: before the first execution that it holds: ``id``, ``type``, ``name``, ``created``, ``updated``,
  ``properties``;
- ``execution``: by id: ``id``, ``type``, ``state``, ``created``, ``updated``, ``properties``, ``contexts`` (ids);
- ``event``: after its execution: ``execution``, ``artifact``, ``type`` (INPUT, OUTPUT, …), ``path``, ``time``;
- ``artifact``: by id, after all executions: ``id``, ``type``, ``uri``, ``state``, ``created``, ``updated``,
  ``properties``;
- ``end``: last, with how many there were of each: a file without it is not whole.

Times are milliseconds since 1970. ``properties`` has the declared and the custom ones together; a number that JSON
lacks is text: ``"nan"``, ``"inf"``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from penstock.metadata.scan import Scan

FORMAT = "penstock-metadata/1"
Line = dict[str, Any]


def export(scan: Scan) -> Iterator[Line]:
    """Yield the lines; holds a page of executions and the ids of artifacts in memory, whatever the store's size."""
    yield {"kind": "store", "format": FORMAT, "pipeline": scan.pipeline}
    counts: Counter[str] = Counter()
    for line in _lines(scan):
        counts[line["kind"]] += 1
        yield line
    kinds = ("context", "execution", "event", "artifact")
    yield {"kind": "end", "pipeline": scan.pipeline, **{f"{kind}s": counts[kind] for kind in kinds}}


def _lines(scan: Scan) -> Iterator[Line]:
    told: set[int] = set()
    artifacts: set[int] = set(scan.attributed())
    for page in scan.pages():
        for execution in page.executions:
            contexts = page.contexts[execution.id]
            yield from (_context(context) for context in contexts if context.id not in told)
            told |= {context.id for context in contexts}
            yield _execution(execution, [context.id for context in contexts])
            for event in page.events[execution.id]:
                artifacts.add(event.artifact_id)
                yield _event(event)
    yield from map(_artifact, scan.artifacts(artifacts))


def _context(context: Any) -> Line:
    return {"kind": "context", "id": context.id, "type": context.type, "name": context.name, **_common(context)}


def _execution(execution: Any, contexts: list[int]) -> Line:
    state = type(execution).State.Name(execution.last_known_state)
    head = {"kind": "execution", "id": execution.id, "type": execution.type, "state": state}
    return {**head, **_common(execution), "contexts": contexts}


def _event(event: Any) -> Line:
    return {
        "kind": "event",
        "execution": event.execution_id,
        "artifact": event.artifact_id,
        "type": type(event).Type.Name(event.type),
        "path": [getattr(step, str(step.WhichOneof("value"))) for step in event.path.steps],
        "time": event.milliseconds_since_epoch,
    }


def _artifact(artifact: Any) -> Line:
    state = type(artifact).State.Name(artifact.state)
    head = {"kind": "artifact", "id": artifact.id, "type": artifact.type, "uri": artifact.uri, "state": state}
    return {**head, **_common(artifact)}


def _common(owner: Any) -> Line:
    values = {**owner.properties, **owner.custom_properties}
    return {
        "created": owner.create_time_since_epoch,
        "updated": owner.last_update_time_since_epoch,
        "properties": {name: _value(values[name]) for name in sorted(values)},
    }


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind in ("struct_value", "proto_value"):
        from google.protobuf.json_format import MessageToDict

        return MessageToDict(getattr(value, kind))
    plain = getattr(value, kind) if kind else None
    return str(plain) if isinstance(plain, float) and not math.isfinite(plain) else plain
