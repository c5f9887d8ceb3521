"""Why an earlier result of a step cannot be used: what the step got then, beside what it would get now."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penstock.metadata import vocabulary
from penstock.metadata.diff import flatten
from penstock.metadata.fingerprints import input_facts
from penstock.metadata.reader import Reader
from penstock.metadata.records import Execution, Value

Kind = Literal["input", "parameter", "data", "code", "version"]


@dataclass(frozen=True)
class Change:
    """One thing that is no longer as it was.

    Attributes:
        kind: What sort of thing: an ``input``, a ``parameter``, the ``data`` outside, the user's ``code``, or a
            library's ``version``.
        name: Its name; for a parameter within ``config`` the dotted key, for code the module.
        before: What it was; None where it was not there.
        after: What it is; None where it is not there any more.
    """

    kind: Kind
    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Situation:
    """What a step would get now.

    Attributes:
        inputs: Input name → ids of the artifacts.
        parameters: Its execution properties.
        code: Module → digest of the user's code behind it.
        versions: Package → version, as the runner records them.
    """

    inputs: Mapping[str, tuple[int, ...]]
    parameters: Mapping[str, Any]
    code: Mapping[str, str]
    versions: Mapping[str, str]


def changes(reader: Reader, step: str, before: Execution, now: Situation) -> list[Change]:
    """Return what a step would get now that it did not get in an earlier execution."""
    facts = _facts(reader, before.origin.run)
    found = [*_inputs(reader, before, now), *_parameters(before.properties, now.parameters)]
    recorded = _mapping(facts.get(vocabulary.CODE)).get(step, {})
    if before.properties.get(vocabulary.USER_CODE) != now.parameters.get(vocabulary.USER_CODE):
        found += _code(recorded, now.code)
    suffix = vocabulary.VERSION_SUFFIX
    versions = {name.removesuffix(suffix): value for name, value in facts.items() if name.endswith(suffix)}
    return [*found, *(_versions(versions, now.versions) if versions else ())]


def _facts(reader: Reader, run: str) -> Mapping[str, Value]:
    return next((found.facts for found in reader.runs_named(run) if found.id == run), {})


def _inputs(reader: Reader, before: Execution, now: Situation) -> Iterator[Change]:
    names = [key for key in sorted({*before.inputs, *now.inputs}) if before.inputs.get(key) != now.inputs.get(key)]
    ids = {one for key in names for one in (*before.inputs.get(key, ()), *now.inputs.get(key, ()))}
    makers = reader.makers(ids) if ids else {}
    for key in names:
        yield Change("input", key, _told(before.inputs.get(key), makers), _told(now.inputs.get(key), makers))


def _told(ids: tuple[int, ...] | None, makers: Mapping[int, Execution]) -> str | None:
    """Return artifacts as a person knows them: by the step and the run that made them."""
    if not ids:
        return None
    origins = {key: makers[key].origin for key in ids if key in makers}
    return ", ".join(
        f"{key} (of {origins[key].step} in run {origins[key].run})" if key in origins else str(key) for key in ids
    )


def _parameters(before: Mapping[str, Value], now: Mapping[str, Any]) -> Iterator[Change]:
    for name in sorted(now):
        old, new = before.get(name), now[name]
        if name.startswith("_") or name == vocabulary.USER_CODE or not isinstance(new, int | float | str) or old == new:
            continue
        if name == vocabulary.INPUT_FINGERPRINT:
            yield from (Change("data", *rest) for rest in _differing(input_facts(old), input_facts(new)))
        elif name == vocabulary.CONFIG:
            yield from (Change("parameter", *rest) for rest in _differing(_flat(old), _flat(new)))
        else:
            yield Change("parameter", name, old, new)


def _code(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[Change]:
    if not before:
        yield Change("code", ", ".join(now) or "the project's code", "other content", "its content now")
        return
    yield from (Change("code", *rest) for rest in _differing(before, now))


def _versions(before: Mapping[str, Value], now: Mapping[str, str]) -> Iterator[Change]:
    return (Change("version", *rest) for rest in _differing(before, now))


def _flat(value: Value | None) -> dict[str, Any]:
    return dict(flatten(_mapping(value)))


def _mapping(value: Value | None) -> dict[str, Any]:
    try:
        found = json.loads(str(value)) if value else {}
    except ValueError:
        return {"": value}
    return found if isinstance(found, dict) else {"": found}


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*before, *after]):
        if before.get(name) != after.get(name):
            yield name, before.get(name), after.get(name)
