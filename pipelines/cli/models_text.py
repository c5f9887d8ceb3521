"""What ``penstock models`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import typer

from penstock.metadata.evaluations import OVERALL

if TYPE_CHECKING:
    from penstock.pipelines.models.find import Model
    from penstock.pipelines.models.show import ModelFacts
    from penstock.pipelines.models.story import Story

_SHORT = 60
"""Characters of a parameter's value that a terminal shows."""


def listed(model: Model, server: str | None, states: Mapping[int, str]) -> dict[str, Any]:
    """Return what a list tells of a model, as JSON data.

    Args:
        model: The model.
        server: Address of the server that runs with its config; None where none runs.
        states: Version → its state in that server.
    """
    return {
        "name": model.name,
        "base": model.base,
        "config": model.config,
        "versions": list(model.versions()),
        "labels": model.labels,
        "asked_for": model.served(),
        "flatbuffers": model.flatbuffers,
        "server": server,
        "available": sorted(version for version, state in states.items() if state == "AVAILABLE"),
    }


def list_line(facts: Mapping[str, Any]) -> str:
    """Return what a list tells of a model, as one line."""
    parts = [facts["name"], f"versions {_numbers(facts['versions'])}"]
    parts += ["flatbuffers"] if facts["flatbuffers"] else []
    parts += [f"{label} → {version}" for label, version in facts["labels"].items()]
    if facts["asked_for"]:
        parts.append(f"asked for {_numbers(facts['asked_for'])}")
    if facts["server"] is not None:
        parts.append(f"AVAILABLE {_numbers(facts['available'])} at {facts['server']}")
    return "  ".join([*parts, facts["base"]])


def _numbers(versions: Any) -> str:
    return ", ".join(map(str, versions)) or "none"


def show_model(facts: ModelFacts, *, whole: bool) -> None:
    """Print a model, and of a version where it comes from."""
    typer.echo(f"{facts.name}  {facts.base}")
    if facts.flatbuffers:
        typer.echo("  server   none: no model server reads flatbuffers")
    else:
        typer.echo(f"  config   {facts.config}")
        typer.echo(f"  server   {facts.server or 'none that Penstock started runs'}")
    for one in facts.versions:
        state = ", ".join(one.modes) or one.state or ("asked for" if one.asked_for else "not served")
        labels = f"  {', '.join(one.labels)}" if one.labels else ""
        typer.echo(f"  version {one.version}  {state}{labels}  digest {(one.digest or 'none: not pushed by us')[:12]}")
        if whole:
            _tell(one.story, one.version)


def _tell(story: Story | None, version: int) -> None:
    if story is None:
        typer.echo(f"  No metadata store knows version {version}: --in FILE names its pipeline.")
        return
    verdict = {None: "", True: "  blessed", False: "  not blessed"}[story.blessed]
    lines: dict[str, Any] = {
        "pushed": f"{story.reason}, by {story.pipeline} in run {story.run}",
        "trained": f"in run {story.trained_in}" if story.trained_in else "not known",
        "commit": story.commit or "not known",
        "file": f"{story.config_file}, digest {story.config_digest[:12]}" if story.config_digest else "not recorded",
        "data": "; ".join(f"{origin}  {identity}" for origin, identity in story.data.items()) or "not known",
        "rows": "; ".join(_rows(story)) or "not recorded",
        "hparams": ", ".join(f"{key}={value}" for key, value in story.hparams.items()) or "none",
        "strategy": ", ".join(f"{key} {value}" for key, value in story.strategy.items()) or "not known",
        "training": _figures(story.training),
        "evaluated": _figures(story.evaluation) + verdict,
        "slices": _slices(story),
        "judged": story.blessing_reason,
        "libraries": ", ".join(f"{name} {version}" for name, version in story.versions.items()) or "not known",
        "trainer": ", ".join(f"{key}={value}" for key, value in story.parameters.items() if _is_short(value)),
        "pushes": "; ".join(story.pushes),
        "labels": "; ".join(story.labels) or "no promotion or rollback recorded",
        "tflite": "; ".join(map(str, story.conversions)) or "not converted",
        "predicted": ", ".join(story.predictions) or "nothing that the store knows of",
        "store": story.store,
    }
    for title, text in lines.items():
        if text:
            typer.echo(f"  {title:<9} {text}")


def _rows(story: Story) -> Iterator[str]:
    for split, count in story.rows.items():
        fingerprint = story.fingerprints.get(split)
        yield f"{split} {count:,}{f' (content {fingerprint})' if fingerprint else ''}"


def _slices(story: Story) -> str:
    """Return how many slices there are, and between which values of the first metric."""
    slices = {name: values for name, values in story.slices.items() if name != OVERALL}
    names = [name for name in story.evaluation if not name.endswith("example_count")]
    known = {name: values[names[0]] for name, values in slices.items() if names and names[0] in values}
    if not known:
        return f"{len(slices)}" if slices else ""
    ordered = sorted(known, key=lambda name: known[name])
    ends = " to ".join(f"{known[name]:.4g} ({name})" for name in dict.fromkeys((ordered[0], ordered[-1])))
    return f"{len(slices)}, {names[0]} {ends}"


def _is_short(value: object) -> bool:
    """Whether a parameter is for the terminal: groups of options, at their defaults mostly, are for --json."""
    return value is not None and len(str(value)) < _SHORT


def _figures(metrics: Any) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no figures"
