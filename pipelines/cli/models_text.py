"""What ``penstock models`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from penstock.pipelines.models.find import Model
    from penstock.pipelines.models.show import ModelFacts, Story

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
    lines: dict[str, Any] = {
        "pushed": f"{story.reason}, by {story.pipeline} in run {story.run}",
        "commit": story.commit or "not known",
        "data": "; ".join(f"{origin}  {identity}" for origin, identity in story.data.items()) or "not known",
        "training": _figures(story.training),
        "evaluated": _figures(story.evaluation) + {None: "", True: "  blessed", False: "  not blessed"}[story.blessed],
        "config": ", ".join(f"{key}={value}" for key, value in story.parameters.items() if _is_short(value)),
        "labels": "; ".join(story.labels) or "no promotion or rollback recorded",
        "tflite": "; ".join(map(str, story.conversions)) or "not converted",
        "predicted": ", ".join(story.predictions) or "nothing that the store knows of",
        "store": story.store,
    }
    for title, text in lines.items():
        typer.echo(f"  {title:<9} {text}")


def _is_short(value: object) -> bool:
    """Whether a parameter is for the terminal: groups of options, at their defaults mostly, are for --json."""
    return value is not None and len(str(value)) < _SHORT


def _figures(metrics: Any) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items()) or "no figures"
