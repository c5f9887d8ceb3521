"""pydantic's validation errors as located problems in our own words."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from penstock.closest import closest, did_you_mean
from penstock.pipelines.config.document import Document
from penstock.pipelines.config.expectations import expectation, is_type_error
from penstock.pipelines.config.fields import fields_at
from penstock.pipelines.config.problems import Problem
from penstock.pipelines.config.remedies import remedy
from penstock.pipelines.config.words import Path, as_text, dotted, one_of, quoted, where

_MISSPELT = 2
"""Characters that a misspelt key of a step may have more or less: ``input_base`` is not meant to be ``inputs``."""


@dataclass(frozen=True)
class _Finding:
    """One pydantic error and its place in the document.

    Args:
        error: What pydantic says.
        path: The value in the document.
        is_key: Whether the value's key is in question.
        union: The path of the union that holds the value, None outside of unions.
        branch: The part of pydantic's location that names the union's branch.
    """

    error: ErrorDetails
    path: Path
    is_key: bool
    union: Path | None
    branch: str | int | None


def problems_from_pydantic(
    document: Document, error: ValidationError, prefix: Path, model: type[BaseModel]
) -> list[Problem]:
    """Return what a validation error says, as problems located in the document.

    Args:
        document: The document that the validated data comes from.
        error: What pydantic raised.
        prefix: Path of the validated data in the document.
        model: The model that was validated, for the keys that it allows.

    Returns:
        At least one problem; the branches of a union make one problem, and a misspelt required key makes one.
    """
    findings = [_located(document, found, prefix) for found in error.errors(include_url=False)]
    chosen, unions = _without_branches(findings)
    problems = [_problem(document, finding, model) for finding in _without_misspelt(chosen, model)]
    return problems + [_no_branch_fits(document, branches) for branches in unions]


def _located(document: Document, error: ErrorDetails, prefix: Path) -> _Finding:
    value, path = document.value(prefix), prefix
    union: Path | None = None
    branch: str | int | None = None
    location = error["loc"]
    for index, part in enumerate(location):
        if part == "[key]" and index == len(location) - 1:
            return _Finding(error, path, is_key=True, union=union, branch=branch)
        if _holds(value, part):
            value, path = value[part], (*path, part)
        elif index == len(location) - 1 and error["type"] == "missing":
            path = (*path, part)
        elif union is None:
            union, branch = path, part
    tag = _tag_key(error)
    path = path if tag is None else (*path, tag)
    return _Finding(error, path, is_key=error["type"] == "extra_forbidden", union=union, branch=branch)


def _tag_key(error: ErrorDetails) -> str | None:
    """Return the key that chooses a union's branch when it is what is wrong; pydantic locates that at the mapping."""
    is_tag = error["type"] in ("union_tag_invalid", "union_tag_not_found")
    name = str(error["ctx"]["discriminator"]).strip("'") if is_tag else ""
    return name if name.isidentifier() else None


def _holds(value: Any, part: str | int) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value)


def _without_branches(findings: list[_Finding]) -> tuple[list[_Finding], list[list[_Finding]]]:
    """Keep what concerns the branch of each union that was probably meant.

    Returns:
        The errors outside of unions and in the likeliest branches, and those of unions of which no branch fits.
    """
    chosen = [finding for finding in findings if finding.union is None]
    unions: dict[Path, list[_Finding]] = {}
    for finding in findings:
        if finding.union is not None:
            unions.setdefault(finding.union, []).append(finding)
    none_fits: list[list[_Finding]] = []
    settled: list[list[_Finding]] = []
    for path, group in unions.items():
        inside = [finding for finding in group if len(finding.path) > len(path)]
        constraints = [finding for finding in group if not is_type_error(finding.error)]
        if inside:
            branch, _ = min(Counter(f.branch for f in inside).items(), key=lambda counted: counted[1])
            for same_place in _by_path(finding for finding in inside if finding.branch == branch):
                # Several at one place are the branches of a union inside this one.
                (none_fits if len(same_place) > 1 else settled).append(same_place)
        elif constraints:
            chosen.append(constraints[0])
        else:
            none_fits.append(group)
    return [*chosen, *itertools.chain.from_iterable(settled)], none_fits


def _by_path(findings: Iterable[_Finding]) -> list[list[_Finding]]:
    groups: dict[Path, list[_Finding]] = {}
    for finding in findings:
        groups.setdefault(finding.path, []).append(finding)
    return list(groups.values())


def _without_misspelt(findings: list[_Finding], model: type[BaseModel]) -> list[_Finding]:
    """Drop "missing" where an unknown key beside is that very key, misspelt: it is one mistake."""
    misspelt = set()
    for finding in findings:
        if finding.error["type"] == "extra_forbidden":
            meant = closest(str(finding.path[-1]), fields_at(model, finding.error["loc"][:-1]))
            misspelt.add((*finding.path[:-1], meant))
    return [f for f in findings if not (f.error["type"] == "missing" and f.path in misspelt)]


def _problem(document: Document, finding: _Finding, model: type[BaseModel]) -> Problem:
    by_type: dict[str, Callable[[Document, _Finding, type[BaseModel]], Problem]] = {
        "extra_forbidden": _unknown_key,
        "missing": _missing_key,
        "union_tag_not_found": _missing_key,
        "value_error": _own_words,
        "assertion_error": _own_words,
    }
    return by_type.get(finding.error["type"], _unexpected)(document, finding, model)


def _unknown_key(document: Document, finding: _Finding, model: type[BaseModel]) -> Problem:
    *above, name = finding.path
    allowed = sorted(fields_at(model, finding.error["loc"][:-1]))
    message = f"unknown key {quoted(str(name))}{where(tuple(above), 'in')}"
    hint = _under_with(finding.path, allowed) or did_you_mean(str(name), allowed)
    return document.problem(finding.path, message, key=True, expected=one_of(allowed), hint=hint)


def _under_with(path: Path, allowed: list[str]) -> str | None:
    """Return what to do about a key of a step that is hardly a misspelt one: it may be a parameter of its component."""
    if len(path) != 3 or path[0] != "steps":
        return None
    name = str(path[-1])
    near = closest(name, allowed)
    if near is not None and abs(len(near) - len(name)) <= _MISSPELT:
        return None
    return f"write with: {{{name}: …}}, if it is a parameter of the component"


def _missing_key(document: Document, finding: _Finding, model: type[BaseModel]) -> Problem:
    *above, name = finding.path
    path = tuple(above)
    location = finding.error["loc"]
    field = fields_at(model, location[:-1] if finding.error["type"] == "missing" else location).get(str(name))
    message = f"missing required key {quoted(str(name))}{where(path, 'in')}"
    return document.problem(path, message, key=True, expected=field.description if field else None)


def _own_words(document: Document, finding: _Finding, _: type[BaseModel]) -> Problem:
    message = str(finding.error["ctx"]["error"]).rstrip(".") or "the value is not valid"
    value = document.value(finding.path)
    is_told = value is None or isinstance(value, dict | list) or repr(value) in message
    received = None if is_told else document.shown(finding.path)
    prefix = f"{dotted(finding.path)}: " if finding.path else ""
    return document.problem(finding.path, prefix + message, key=finding.is_key, received=received)


def _unexpected(document: Document, finding: _Finding, model: type[BaseModel]) -> Problem:
    expected = expectation(finding.error)
    if expected is None:
        message = finding.error["msg"].rstrip(".") + where(finding.path, "at")
        return document.problem(finding.path, message, key=finding.is_key, received=document.shown(finding.path))
    if finding.is_key:
        *above, name = finding.path
        message = f"the key {quoted(str(name))}{where(tuple(above), 'in')} must be {expected}"
        hint = remedy(finding.error, name)
        return document.problem(
            finding.path, message, key=True, received=quoted(str(name)), expected=expected, hint=hint
        )
    if expected == "a mapping":
        return _mismatch(document, finding, expected, _mapping_hint(document, finding, model))
    return _mismatch(document, finding, expected, remedy(finding.error, document.value(finding.path)))


def _mapping_hint(document: Document, finding: _Finding, model: type[BaseModel]) -> str:
    fields = fields_at(model, finding.error["loc"])
    required = [key for key, field in fields.items() if field.is_required()]
    value = document.value(finding.path)
    if len(required) == 1 and isinstance(value, str):
        return f"write {{{required[0]}: {as_text(value)}}}"
    return f"its keys are {', '.join(fields)}" if fields else "write 'key: value' pairs"


def _no_branch_fits(document: Document, branches: list[_Finding]) -> Problem:
    phrases = dict.fromkeys(expectation(finding.error) or finding.error["msg"] for finding in branches)
    *first, last = phrases
    if not first:
        return _mismatch(document, branches[0], last, remedy(branches[0].error, document.value(branches[0].path)))
    return _mismatch(document, branches[0], f"{', '.join(first)} or {last}")


def _mismatch(document: Document, finding: _Finding, expected: str, hint: str | None = None) -> Problem:
    context = finding.error.get("ctx", {})
    length = context.get("actual_length")
    received = f"{length} item{'' if length == 1 else 's'}" if length is not None else document.shown(finding.path)
    message = f"expected {expected}, received {received}{where(finding.path, 'at')}"
    return document.problem(finding.path, message, received=received, expected=expected, hint=hint)
