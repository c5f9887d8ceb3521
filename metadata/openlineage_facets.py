"""The facets of OpenLineage events: what each says of a run, a job or a dataset, and where it is defined."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock.metadata import vocabulary
from penstock.metadata.records import Artifact, Execution
from penstock.version import __version__

Content = dict[str, Any]
SPEC = "https://openlineage.io/spec"
_FACETS = {
    "parent": "1-2-0/ParentRunFacet",
    "nominalTime": "1-0-1/NominalTimeRunFacet",
    "errorMessage": "1-0-1/ErrorMessageRunFacet",
    "processing_engine": "1-1-1/ProcessingEngineRunFacet",
    "jobType": "2-0-4/JobTypeJobFacet",
    "sourceCodeLocation": "1-1-0/SourceCodeLocationJobFacet",
    "schema": "1-2-0/SchemaDatasetFacet",
    "version": "1-0-1/DatasetVersionDatasetFacet",
    "outputStatistics": "1-0-2/OutputStatisticsOutputDatasetFacet",
}
"""Facet → version and name of its definition."""
PRODUCER = f"urn:penstock:{__version__}"
_RESULT = "__execution_result__"
"""Where TFX puts an executor's own account of its end, as JSON."""


def complete(facets: Mapping[str, Mapping[str, Any]]) -> Content:
    """Return facets with what every facet needs: who says it, and where it is defined."""
    return {
        name: {
            "_producer": PRODUCER,
            "_schemaURL": f"{SPEC}/facets/{_FACETS[name]}.json#/$defs/{_FACETS[name].partition('/')[2]}",
            **content,
        }
        for name, content in facets.items()
    }


def _own_facet(base: str, content: Mapping[str, Any]) -> Content:
    return {"_producer": PRODUCER, "_schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/{base}", **content}


def of_execution(execution: Execution) -> Content:
    """Return the facet of ours that tells which execution in ML Metadata a run is."""
    content = {"execution": execution.id, "component": execution.component, "cached": execution.state == "CACHED"}
    return _own_facet("RunFacet", {**content, "pipelineRun": execution.origin.run})


def of_artifact(artifact: Artifact) -> Content:
    """Return the facet of ours that tells which artifact in ML Metadata a dataset is."""
    return _own_facet("DatasetFacet", {"artifact": artifact.id, "type": artifact.type})


def nominal(began: int, ended: int | None) -> Content:
    """Return when a run began and ended, from milliseconds since 1970."""
    return {"nominalStartTime": timestamp(began), **({} if ended is None else {"nominalEndTime": timestamp(ended)})}


def engine(facts: Mapping[str, Any]) -> Content:
    """Return what ran a run, by its facts; nothing where they do not say."""
    version = facts.get("tfx_version")
    if not version:
        return {}
    adapter = str(facts.get("penstock_version", __version__))
    return {"processing_engine": {"version": str(version), "name": "TFX", "openlineageAdapterVersion": adapter}}


def error(execution: Execution) -> Content:
    """Return why an execution failed."""
    message = str(execution.properties.get(vocabulary.END_REASON, ""))
    if not message:
        try:
            message = str(json.loads(str(execution.properties.get(_RESULT, "{}"))).get("resultMessage", ""))
        except ValueError:
            message = ""
    return {"message": message or "the store does not say why; see the run's log", "programmingLanguage": "PYTHON"}


def schema_fields(schema: Path) -> list[dict[str, str]]:
    """Return the features of a schema's file; none where it is gone or no schema."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    try:
        found = text_format.Parse(schema.read_text(encoding="utf-8"), schema_pb2.Schema())
    except (OSError, ValueError, text_format.ParseError):
        return []
    return [{"name": one.name, "type": schema_pb2.FeatureType.Name(one.type)} for one in found.feature]


def timestamp(milliseconds: int) -> str:
    """Return milliseconds since 1970 as OpenLineage writes a time."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
