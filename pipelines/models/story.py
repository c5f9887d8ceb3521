"""All that identifies a pushed version: its run, code, data, parameters, metrics, verdict, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from penstock.metadata import vocabulary
from penstock.metadata.evaluations import OVERALL, metrics_by_slice, training_metrics
from penstock.metadata.label_changes import label_changes
from penstock.metadata.provenance import Made, Provenance, provenance
from penstock.metadata.records import Value
from penstock.pipelines.models.conversions import Converted, conversions
from penstock.pipelines.models.evaluation import metrics_by_slice as read_metrics
from penstock.pipelines.models.find import Model
from penstock.pipelines.models.tracking import tracked

_PREDICTIONS = frozenset({"InferenceResult", "Predictions"})
_STRATEGY = ("strategy", "strategy_options", "workers", "replicas", "global_batch_size", "precision", "seed")


@dataclass(frozen=True)
class Story:
    """Where a version comes from and what came of it, as far as a metadata store knows.

    Attributes:
        store: Where the store is: its file, or its server.
        pipeline: The pipeline that pushed it.
        run: The run that pushed it.
        trained_in: The run that trained it; another one where that step was cached.
        reason: Why it was pushed.
        commit: Commit of the project's code; ``+`` behind it where files differed from it.
        config_file: The pipeline's file; empty where the runner did not record it.
        config_digest: SHA-256 of the config; empty likewise.
        data: URI → what identifies the data that was read from outside.
        rows: Split → its rows, a count.
        fingerprints: Split → of the content of its rows.
        hparams: Hyperparameters as the model saw them.
        strategy: How it was trained: strategy, replicas, batch, precision, seed.
        parameters: The training's parameters.
        training: Metrics of the training.
        evaluation: Metrics of the Evaluator by which it was pushed, over all rows.
        slices: Slice → metric → value, of the Evaluator.
        blessed: That Evaluator's verdict, None where there is none.
        blessing_reason: Why; empty where the runner did not record it.
        versions: Library → version.
        conversions: The flatbuffers that were made of the model, the last of each mode.
        predictions: URIs of the predictions that the model made.
        pushes: When the model was pushed, as which versions and under which labels; oldest first.
        labels: Changes of labels to this version, and away from it, that were recorded; oldest first.
    """

    store: str
    pipeline: str
    run: str
    trained_in: str
    reason: str
    commit: str | None
    config_file: str
    config_digest: str
    data: Mapping[str, str]
    rows: Mapping[str, int]
    fingerprints: Mapping[str, str]
    hparams: Mapping[str, Any]
    strategy: Mapping[str, Value]
    parameters: Mapping[str, Any]
    training: Mapping[str, float]
    evaluation: Mapping[str, float]
    slices: Mapping[str, Mapping[str, float]]
    blessed: bool | None
    blessing_reason: str
    versions: Mapping[str, str]
    conversions: tuple[Converted, ...]
    predictions: tuple[str, ...]
    pushes: tuple[str, ...]
    labels: tuple[str, ...]


def story_of(model: Model, version: int) -> Story | None:
    """Return where a version comes from; None where no store knows it."""
    place = tracked(model, version)
    return _told(provenance(place.store, place.artifact), model.name, version) if place is not None else None


def _told(known: Provenance, name: str, version: int) -> Story:
    facts = known.model.artifact.properties if known.model else {}
    slices = _slices(known)
    return Story(
        store=str(known.store),
        pipeline=known.pipeline,
        run=known.pushed.run,
        trained_in=known.model.run if known.model else "",
        reason=str(known.pushed.artifact.properties.get(vocabulary.REASON, "")),
        commit=_commit(facts) or _commit(known.facts),
        config_file=str(known.facts.get(vocabulary.CONFIG_FILE, "")),
        config_digest=str(known.facts.get(vocabulary.CONFIG_DIGEST, "")),
        data={_origin(made): _identity(made) for made in known.data},
        rows={split: int(facts[f"{split}_rows"]) for split in ("train", "eval") if f"{split}_rows" in facts},
        fingerprints={
            split: str(facts[f"{split}_fingerprint"]) for split in ("train", "eval") if f"{split}_fingerprint" in facts
        },
        hparams=_mapping(facts.get("hparams")),
        strategy={key: facts[key] for key in _STRATEGY if facts.get(key) not in (None, "{}")},
        parameters=_parameters(known.model),
        training=dict(sorted(training_metrics(facts).items())),
        evaluation=slices.get(OVERALL, {}),
        slices=slices,
        blessed=_blessed(known),
        blessing_reason=_blessing_reason(known),
        versions=_versions({**facts, **known.facts}),
        conversions=conversions(known),
        predictions=tuple(made.artifact.uri for made in known.findings if made.artifact.type in _PREDICTIONS),
        pushes=tuple(_pushes(known)),
        labels=tuple(_labels(known, name, version)),
    )


def _commit(facts: Mapping[str, Value]) -> str | None:
    if vocabulary.COMMIT not in facts:
        return None
    return f"{facts[vocabulary.COMMIT]}{'+' if facts.get(vocabulary.DIRTY) else ''}"


def _versions(facts: Mapping[str, Value]) -> dict[str, str]:
    suffix = vocabulary.VERSION_SUFFIX
    return {key.removesuffix(suffix): str(facts[key]) for key in sorted(facts) if key.endswith(suffix)}


def _slices(known: Provenance) -> dict[str, dict[str, float]]:
    """Return metrics by slice: as the runner recorded them, else read from the evaluations' files."""
    metrics: dict[str, dict[str, float]] = {}
    for made in _judgements(known, "ModelEvaluation"):
        found = metrics_by_slice(made.parameters) or read_metrics(Path(made.artifact.uri))
        for name, values in found.items():
            metrics.setdefault(name, {}).update(values)
    return metrics


def _blessed(known: Provenance) -> bool | None:
    found = [made.artifact.properties.get("blessed") for made in _judgements(known, "ModelBlessing")]
    return None if not found or found[-1] is None else found[-1] == 1


def _blessing_reason(known: Provenance) -> str:
    found = [made.parameters.get(vocabulary.REASON) for made in _judgements(known, "ModelBlessing")]
    return str(found[-1]) if found and found[-1] is not None else ""


def _judgements(known: Provenance, kind: str) -> list[Made]:
    """Return what judged the model, of a type: that with which it was pushed, else all, oldest first."""
    found = [made for made in known.findings if made.artifact.type == kind]
    return [made for made in found if made.execution == known.judged] or found


def _pushes(known: Provenance) -> Iterator[str]:
    for made in known.pushes:
        facts = made.artifact.properties
        when = _when(made.artifact.created)
        if facts.get("pushed") == 1:
            labels = ", ".join(f"{label} → {version}" for label, version in _mapping(facts.get("labels")).items())
            what = f"pushed as {facts.get('model_name', '')}/{facts.get('pushed_version', '')}"
            yield f"{when} {what}{f', {labels}' if labels else ''}"
        else:
            yield f"{when} not pushed: {facts.get(vocabulary.REASON, '')}"


def _labels(known: Provenance, name: str, version: int) -> Iterator[str]:
    for move in label_changes(known.store, name):
        if version in (move.before, move.after):
            failed = f" failed: {move.error.splitlines()[0]}" if move.error else ""
            yield f"{_when(move.time)} {move.kind} {move.label}: {move.before or 'new'} → {move.after}{failed}"


def _when(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def _origin(made: Made) -> str:
    return str(made.parameters.get("input_base", made.artifact.uri))


def _identity(made: Made) -> str:
    fingerprint = made.artifact.properties.get(vocabulary.INPUT_FINGERPRINT)
    return str(fingerprint).replace("\n", "; ") if fingerprint else f"artifact {made.artifact.id}"


def _parameters(model: Made | None) -> Mapping[str, Any]:
    """Return a training's parameters: our Trainer's as one JSON object, another's as they are."""
    parameters = dict(model.parameters) if model else {}
    return _mapping(parameters.get(vocabulary.CONFIG)) or parameters


def _mapping(value: Value | None) -> dict[str, Any]:
    try:
        found = json.loads(str(value)) if value is not None else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
