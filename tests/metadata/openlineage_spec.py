"""What OpenLineage 2-0-2 asks of an event, checked by hand: its published JSON Schema is not shipped here."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

_TRANSITIONS = {"START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"}
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_REQUIRED: dict[str, tuple[str, ...]] = {
    "parent": ("run", "job"),
    "nominalTime": ("nominalStartTime",),
    "errorMessage": ("message", "programmingLanguage"),
    "processing_engine": ("version",),
    "jobType": ("processingType", "integration"),
    "sourceCodeLocation": ("type", "url"),
    "schema": (),
    "version": ("datasetVersion",),
    "outputStatistics": (),
}


def problems(event: dict[str, Any]) -> list[str]:
    """Return what is wrong with a RunEvent."""
    return list(_problems(event))


def _problems(event: dict[str, Any]) -> Iterator[str]:
    missing = {"eventTime", "producer", "schemaURL", "run", "job"} - event.keys()
    if missing:
        yield f"without {sorted(missing)}"
        return
    if event["eventType"] not in _TRANSITIONS:
        yield f"eventType {event['eventType']}"
    yield from (f"{name} is no URI" for name in ("producer", "schemaURL") if not _URI.fullmatch(event[name]))
    yield from _time(event["eventTime"])
    yield from _uuid(event["run"])
    yield from _named(event["job"])
    yield from _facets(event["run"].get("facets", {}))
    yield from _facets(event["job"].get("facets", {}))
    for dataset in (*event.get("inputs", ()), *event.get("outputs", ())):
        yield from _named(dataset)
        for part in ("facets", "inputFacets", "outputFacets"):
            yield from _facets(dataset.get(part, {}))


def _facets(facets: dict[str, Any]) -> Iterator[str]:
    for name, facet in facets.items():
        for key in ("_producer", "_schemaURL"):
            if not _URI.fullmatch(str(facet.get(key, ""))):
                yield f"{name} without {key}"
        if not name.startswith("penstock_"):
            yield from (f"{name} without {key}" for key in _REQUIRED[name] if key not in facet)
        if name == "parent":
            yield from _uuid(facet["run"])
            yield from _named(facet["job"])
        if name == "nominalTime":
            yield from (found for key, value in facet.items() if key.startswith("nominal") for found in _time(value))
        if name == "schema":
            yield from ("a field without a name" for field in facet["fields"] if "name" not in field)


def _uuid(run: dict[str, Any]) -> Iterator[str]:
    if str(uuid.UUID(run["runId"])) != run["runId"]:
        yield f"runId {run['runId']}"


def _named(owner: dict[str, Any]) -> Iterator[str]:
    yield from (f"without {key}" for key in ("namespace", "name") if not isinstance(owner.get(key), str))


def _time(text: str) -> Iterator[str]:
    if datetime.fromisoformat(text).tzinfo is None:
        yield f"the time {text} has no zone"
