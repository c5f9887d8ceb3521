"""What ``penstock runs`` prints."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from penstock.metadata import vocabulary
from penstock.metadata.diff import Difference, RunDiff
from penstock.metadata.evaluations import metrics_by_slice
from penstock.metadata.given import given
from penstock.metadata.lineage import PUSHED_MODEL
from penstock.metadata.owners import root_of
from penstock.metadata.records import Artifact, Value
from penstock.metadata.runs import Run, RunLine, Step
from penstock.paths import shown_path
from penstock.pipelines.cli.lineage_text import GONE
from penstock.pipelines.cli.tables import plain_table, print_table, shortened
from penstock.pipelines.moments import duration, moment

_SHORT = 60
"""Characters of a property's value that a terminal shows; all of it is for --json."""
_DIGEST = 12
_UNKNOWN = "—"
_BY_STEP = frozenset({"data", "metrics", "artifacts"})
"""Sections whose differences begin with the step's name."""
_ROWS = 30
"""Differences of a section that a terminal shows."""


def show_list(lines: Sequence[RunLine]) -> None:
    """Print the runs, one a row."""
    if not lines:
        typer.echo("No run is recorded yet: penstock run FILE")
        return
    several = len({line.pipeline for line in lines}) > 1
    columns = ("run", "pipeline", "state", "started", "took", "steps", "version", "metric")
    rows = [
        (
            line.id,
            line.pipeline if several else "",
            line.state,
            moment(line.started),
            duration(line.seconds),
            ", ".join(f"{count} {state}" for state, count in line.steps.items()),
            line.version,
            "" if line.value is None else f"{line.value:.4g} {line.metric}",
        )
        for line in lines
    ]
    print_table(columns, rows, right=("took",), spare=("started",))


def show_run(run: Run) -> None:
    """Print a run: what it was made of, its steps in a table, then each step's inputs, outputs and properties."""
    typer.echo(f"run {run.id} of {run.pipeline}: {run.state}")
    for title, text in _head(run):
        typer.echo(f"  {title:<9} {text}")
    typer.echo()
    rows = [
        (
            step.name,
            step.component,
            step.state,
            f"{step.seconds:.1f}" if step.execution is not None else "",
            "" if step.execution is None else str(step.execution),
            f"run {step.cached_from}" if step.cached_from else step.reason.partition("\n")[0],
        )
        for step in run.steps
    ]
    columns = ("step", "component", "state", "seconds", "execution", "from")
    print_table(columns, rows, right=("seconds", "execution"), spare=("component", "execution"))
    for step in run.steps:
        if step.execution is not None:
            typer.echo(f"\n{step.name}")
            for line in (*_step(step), *_log(run, step)):
                typer.echo(f"  {line}")


def show_diff(found: RunDiff, before: Run, after: Run) -> None:
    """Print what differs, a section a table."""
    typer.echo(f"A  {_told(before)}\nB  {_told(after)}")
    shown = {name: section for name, section in found.sections.items() if section}
    unfinished = {step.name for run in (before, after) for step in run.steps if step.state not in ("ran", "cached")}
    for name, section in shown.items():
        typer.echo(f"\n{name}")
        for line in _section(section, unfinished if name in _BY_STEP else set()):
            typer.echo(f"  {line}")
    same = [name for name in found.sections if name not in shown]
    if same:
        shared = f"; {found.same} {'output' if found.same == 1 else 'outputs'} in common" if found.same else ""
        typer.echo(f"\nthe same: {', '.join(same)}{shared}")
    if not before.facts or not after.facts:
        typer.echo("Of one of them commit, modules and library versions were not recorded.")


def _section(section: Sequence[Difference], unfinished: Collection[str]) -> Iterator[str]:
    """Yield the lines of a section; what one run lacks because it did not finish a step is only counted."""
    lacking = [one for one in section if None in (one.before, one.after) and _step_of(one) in unfinished]
    told = [one for one in section if one not in lacking]
    rows = [
        (one.name, _value(one, one.before, one.after), _value(one, one.after, one.before), _moved(one))
        for one in told[:_ROWS]
    ]
    if rows:
        yield from plain_table(("", "A", "B", ""), rows)
    if len(told) > _ROWS:
        yield f"and {len(told) - _ROWS} more: --json tells all"
    if lacking:
        steps = ", ".join(dict.fromkeys(map(_step_of, lacking)))
        yield f"{len(lacking)} of steps that only one of them finished: {steps}"


def _step_of(one: Difference) -> str:
    """Return the step that a difference in data, metrics or artifacts is about."""
    return one.name.partition(" ")[0].partition(".")[0]


def _head(run: Run) -> Iterator[tuple[str, str]]:
    facts = run.facts
    pushed = [one.properties for _, one in given(run, PUSHED_MODEL) if one.properties.get("pushed") == 1]
    if pushed:
        yield "pushed", ", ".join(f"{one.get('model_name', '')}/{one.get('pushed_version', '')}" for one in pushed)
    took = "running for" if run.state == "running" else "took"
    yield "started", f"{moment(run.started)}, {took} {duration(run.seconds)}"
    if vocabulary.CONFIG_DIGEST in facts:
        digest = str(facts[vocabulary.CONFIG_DIGEST])[:_DIGEST]
        yield "config", f"{facts.get(vocabulary.CONFIG_FILE, _UNKNOWN)}, digest {digest}"
    if vocabulary.COMMIT in facts:
        yield "commit", f"{facts[vocabulary.COMMIT]}{', and files differed' if facts.get(vocabulary.DIRTY) else ''}"
    suffix = vocabulary.VERSION_SUFFIX
    libraries = [f"{k.removesuffix(suffix)} {v}" for k, v in facts.items() if k.endswith(suffix)]
    if libraries:
        yield "libraries", ", ".join(libraries)


def _step(step: Step) -> Iterator[str]:
    first, *rest = step.reason.splitlines() or [""]
    if rest:  # One line is in the table.
        yield f"why  {first}"
        yield from (f"     {line}" for line in rest)
    for title, links in (("in", step.inputs), ("out", step.outputs)):
        for name, artifacts in links.items():
            yield from (f"{title:<4} {name}: {_artifact(artifact)}" for artifact in artifacts)
    parameters = _listed(step.properties)
    if parameters:
        yield f"with {parameters}"
    overall = next(iter(metrics_by_slice(step.properties).items()), None)
    if overall is not None:
        yield f"found {overall[0]}: " + ", ".join(f"{name} {value:.4g}" for name, value in overall[1].items())
    if vocabulary.REASON in step.properties:
        yield f"found {step.properties[vocabulary.REASON]}"
    for name, artifacts in step.outputs.items():
        for artifact in artifacts:
            reason = artifact.properties.get(vocabulary.REASON)
            facts = _listed(artifact.properties)
            yield from (f"{name}: {text}" for text in (facts, reason) if text)


def _log(run: Run, step: Step) -> Iterator[str]:
    """Yield where the log of a step that failed is, if it is on this machine."""
    root = root_of(step.properties)
    file = Path(root, "logs", run.id, f"{step.name}.log")
    if root and step.state == "failed" and file.is_file():
        yield f"log  {shown_path(file)}"


def _artifact(artifact: Artifact) -> str:
    place = artifact.uri if "://" in artifact.uri else shown_path(artifact.uri)
    return f"{artifact.type} {artifact.id}  {place}{GONE if artifact.deleted else ''}"


_PRIVATE = ("__", "penstock_owner", "penstock_node", "penstock_step", vocabulary.END_REASON)
_EMPTY = frozenset({"", "{}", "[]", "null"})
_TFX_OWN = ("is_external", "tfx_version", "current_model", "current_model_id", "span")
_NOT_SHOWN = frozenset({*vocabulary.FINDINGS, *_TFX_OWN})


def _listed(properties: Mapping[str, Value]) -> str:
    """Return the properties that are for a terminal: short ones, and the keys of a component's own config."""
    flat: dict[str, Any] = {}
    for name, value in properties.items():
        if name == vocabulary.CONFIG:
            flat |= _config(str(value))
        elif name not in _NOT_SHOWN and not name.startswith(_PRIVATE):
            flat[name] = str(value)[:_DIGEST] if name in (vocabulary.USER_CODE, "digest") else value
    texts = {name: _text(value) for name, value in flat.items() if value is not None}
    return ", ".join(f"{name}={text}" for name, text in texts.items() if len(text) < _SHORT and text not in _EMPTY)


def _config(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {vocabulary.CONFIG: text}
    return found if isinstance(found, dict) else {vocabulary.CONFIG: found}


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)


def _told(run: Run) -> str:
    return f"{run.id} of {run.pipeline}  {moment(run.started)}  {run.state}"


def _value(one: Difference, value: Any, other: Any) -> str:
    if value is None:
        return _UNKNOWN
    if isinstance(value, float):
        return f"{value:.4g}"
    text, beside = (" ".join(_text(each).split()) for each in (value, other))
    if one.name != "commit" and len(text) == 64:
        return text[:_DIGEST]
    return shortened(text, beside, _SHORT)


def _moved(one: Difference) -> str:
    """Return by how much a number changed."""
    if isinstance(one.before, float) and isinstance(one.after, float):
        return f"{one.after - one.before:+.4g}"
    return ""
