"""What the runner records of a run and of an evaluation, beside what TFX records.

Never a property of an artifact that is published already: TFX's cache key is made of all that an input holds, so that
would run again what depends on it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import platform
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError
from penstock.metadata import vocabulary
from penstock.metadata.records import artifact_record
from penstock.paths import shown_path
from penstock.pipelines.config import Loaded
from penstock.pipelines.graph import Graph
from penstock.pipelines.static_import import module_digests
from penstock.version import __version__

_LOG = logging.getLogger(__name__)
_CONTEXT = "pipeline_run"
_EVALUATOR = ".Evaluator"
_PACKAGES = (
    "tfx",
    "tensorflow",
    "keras",
    "tf-keras",
    "tensorflow-model-analysis",
    "tensorflow-transform",
    "tensorflow-data-validation",
    "apache-beam",
    "ml-metadata",
)
_NOT_RECORDED = frozenset({"metadata", "extends"})
"""Keys of a config that say where it is kept, not what is run; the first may hold credentials."""


def record_run(store: Any, loaded: Loaded, graph: Graph, run_id: str) -> None:
    """Record what a run is made of, as properties of its context, which is made if TFX has not made it yet.

    Args:
        store: The metadata store.
        loaded: The config.
        graph: The checked pipeline.
        run_id: The run.
    """
    from ml_metadata.proto import metadata_store_pb2 as pb

    kind = store.put_context_type(pb.ContextType(name=_CONTEXT))
    context = store.get_context_by_type_and_name(_CONTEXT, run_id) or pb.Context(type_id=kind, name=run_id)
    for name, value in run_facts(loaded, graph).items():
        field = "int_value" if isinstance(value, int) else "string_value"
        setattr(context.custom_properties[name], field, value)
    store.put_contexts([context])


def run_facts(loaded: Loaded, graph: Graph) -> dict[str, str | int]:
    """Return what a run is made of: see :mod:`penstock.metadata.vocabulary`."""
    from penstock.components.trainer.report import source_state

    written = loaded.document.shareable()
    config = _json({key: value for key, value in written.items() if key not in _NOT_RECORDED})
    source = source_state(graph.project)
    facts: dict[str, str | int] = {
        vocabulary.PIPELINE: graph.name,
        vocabulary.CONFIG_FILE: shown_path(loaded.document.file),
        vocabulary.CONFIG: config,
        vocabulary.CONFIG_DIGEST: hashlib.sha256(config.encode()).hexdigest(),
        vocabulary.STEPS: json.dumps(list(graph.steps)),
        vocabulary.CODE: _json(code_of(graph)),
        **{f"{name}{vocabulary.VERSION_SUFFIX}": version for name, version in library_versions().items()},
    }
    if source is not None:
        facts |= {vocabulary.COMMIT: source.commit, vocabulary.DIRTY: int(source.dirty)}
    return facts


def code_of(graph: Graph) -> dict[str, dict[str, str]]:
    """Return step → module → digest of the project's code behind it; steps without any are left out."""
    found = {name: module_digests(step.functions, graph.project) for name, step in graph.steps.items()}
    return {name: modules for name, modules in found.items() if modules}


def library_versions() -> dict[str, str]:
    """Return package → version of what a run depends on; of those that are installed."""
    versions = {"penstock": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package.replace("-", "_")] = metadata.version(package)
        except metadata.PackageNotFoundError:
            _LOG.debug("no package %s is installed", package)
    return versions


def record_evaluation(store: Any, step: str, execution: Any) -> None:
    """Record an Evaluator's metrics by slice and its reasons as properties of its execution.

    Anything but an Evaluator that has just ended well is left alone. An evaluation that cannot be read is logged: the
    step has ended well, and who asks for the metrics reads the files.

    Args:
        store: The metadata store.
        step: The step's name.
        execution: Its execution.
    """
    from ml_metadata.proto import metadata_store_pb2 as pb

    if not execution.type.endswith(_EVALUATOR) or execution.last_known_state != pb.Execution.COMPLETE:
        return
    try:
        for name, value in _evaluation(store, step, execution):
            execution.custom_properties[name].string_value = value
    except (ArtifactError, OSError, ValueError, KeyError) as error:
        _LOG.warning("the metrics of %s are not recorded in ML Metadata: %s", step, error)
        return
    store.put_executions([execution])


def _evaluation(store: Any, step: str, execution: Any) -> Iterator[tuple[str, str]]:
    from ml_metadata.proto import metadata_store_pb2 as pb

    from penstock.pipelines.models.evaluation import metrics_by_slice
    from penstock.pipelines.summary.evaluation import read_evaluation

    events = store.get_events_by_execution_ids([execution.id])
    keys = {event.artifact_id: event.path.steps[0].key for event in events if event.type == pb.Event.OUTPUT}
    found = store.get_artifacts_by_id(list(keys))
    outputs = {keys[artifact.id]: [artifact_record(artifact)] for artifact in found}
    yield vocabulary.METRICS, _json(_finite(metrics_by_slice(Path(outputs["evaluation"][0].uri))))
    evaluation = read_evaluation(step, outputs)
    if evaluation.blessed is not None:
        yield vocabulary.REASON, "; ".join(evaluation.reasons) or "every threshold is met"


def _finite(metrics: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float | str]]:
    """Return the metrics with those as text that JSON has no number for."""
    return {
        name: {key: value if math.isfinite(value) else str(value) for key, value in values.items()}
        for name, values in metrics.items()
    }


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=False, default=str)
