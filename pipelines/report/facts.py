"""What made a run's model, in the words of the vocabulary; and what a run's predictions are."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any

from penstock.metadata import vocabulary
from penstock.metadata.fingerprints import input_facts
from penstock.metadata.given import given
from penstock.metadata.records import Artifact, Value
from penstock.metadata.runs import Run
from penstock.pipelines.predictions import Predictions, read_predictions

_LONG = frozenset({vocabulary.CONFIG, vocabulary.CODE, vocabulary.STEPS})
_OF_RUN = (vocabulary.CONFIG_FILE, vocabulary.CONFIG_DIGEST, vocabulary.COMMIT, vocabulary.DIRTY)
_OF_TFX = frozenset({"is_external", "tfx_version", "name", "state", "pipeline_name", "producer_component"})


@dataclass(frozen=True)
class Fact:
    """A property: its name, its value as text, and what it tells."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Origins:
    """What made a model.

    Attributes:
        run: Of the run: config, commit.
        model: Of the model: data, hyperparameters, figures; empty where the run gave none.
        versions: Library → version.
        data: What was read from outside: step, and what identifies it.
        config: The config as it ran, as YAML; empty where it was not recorded.
        code: Step → how many modules of the project are behind it.
    """

    run: tuple[Fact, ...]
    model: tuple[Fact, ...]
    versions: tuple[Fact, ...]
    data: tuple[Fact, ...]
    config: str
    code: tuple[Fact, ...]


def origins(run: Run) -> Origins:
    """Return what made the model of a run."""
    model = next((artifact for _, artifact in given(run, "Model")), None)
    return Origins(
        run=tuple(_facts(run.facts, "run", _OF_RUN)),
        model=tuple(_facts(model.properties, "Model", sorted(_about(model)))) if model is not None else (),
        versions=tuple(_versions(run.facts)),
        data=tuple(_data(run)),
        config=_yaml(_parsed(run.facts.get(vocabulary.CONFIG))),
        code=tuple(_code(_parsed(run.facts.get(vocabulary.CODE)))),
    )


def predictions(run: Run) -> list[Predictions]:
    """Return what the batch inferences of a run wrote."""
    return [read_predictions(step.name, artifact) for step, artifact in given(run, "InferenceResult")]


def _about(model: Artifact) -> Iterator[str]:
    """Yield the properties that say something of a model; libraries have their own table."""
    for name in model.properties:
        if name not in _OF_TFX and not name.endswith(vocabulary.VERSION_SUFFIX):
            yield name


def _facts(properties: Mapping[str, Value], owner: vocabulary.Owner, names: Sequence[str]) -> Iterator[Fact]:
    meanings = {entry.name: entry.meaning for entry in vocabulary.PROPERTIES if entry.owner == owner}
    for name in names:
        if name in properties and name not in _LONG:
            yield Fact(name, _text(properties[name]), meanings.get(name, "").replace("`", ""))


def _versions(facts: Mapping[str, Value]) -> Iterator[Fact]:
    suffix = vocabulary.VERSION_SUFFIX
    for name in sorted(facts):
        if name.endswith(suffix):
            yield Fact(name.removesuffix(suffix).replace("_", "-"), str(facts[name]))


def _data(run: Run) -> Iterator[Fact]:
    for step, artifact in given(run, "Examples"):
        for name, value in input_facts(artifact.properties.get(vocabulary.INPUT_FINGERPRINT)).items():
            yield Fact(f"{step.name}, {name}", value)


def _code(recorded: Any) -> Iterator[Fact]:
    for step, modules in recorded.items() if isinstance(recorded, Mapping) else ():
        if isinstance(modules, Mapping):
            yield Fact(str(step), ", ".join(map(str, modules)))


def _yaml(config: Any) -> str:
    from ruamel.yaml import YAML

    if config is None:
        return ""
    writer, text = YAML(), StringIO()
    writer.width = 100
    writer.dump(config, text)
    return text.getvalue()


def _parsed(value: Value | None) -> Any:
    try:
        return json.loads(str(value)) if value is not None else None
    except ValueError:
        return None


def _text(value: Value) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
