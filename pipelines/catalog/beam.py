"""Beam's pipeline options, as its own parsers know them. Read from ``beam.json``, so that nothing imports Beam."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Kind = Literal["bool", "int", "float", "str", "list", "json"]


@dataclass(frozen=True)
class BeamOption:
    """One option, under one of its names.

    Attributes:
        name: The flag without its dashes.
        kind: What it takes; a ``bool`` is there or not, a ``list`` may be given several times.
        choices: The words that it takes; empty for any.
        group: Whose it is, such as ``WorkerOptions``.
    """

    name: str
    kind: Kind = "str"
    choices: tuple[str, ...] = ()
    group: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-serializable data, defaults left out."""
        data: dict[str, Any] = {"group": self.group}
        if self.kind != "str":
            data["kind"] = self.kind
        if self.choices:
            data["choices"] = list(self.choices)
        return data


@cache
def beam_options() -> Mapping[str, BeamOption]:
    """Return the options of Beam's Python SDK by name, the other names of an option included."""
    return {
        name: BeamOption(name, data.get("kind", "str"), tuple(data.get("choices", ())), data["group"])
        for name, data in _read()["options"].items()
    }


@cache
def beam_runners() -> tuple[str, ...]:
    """Return the class names of Beam's runners, such as ``FlinkRunner``."""
    return tuple(_read()["runners"])


@cache
def _read() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((files(__package__) / "beam.json").read_text(encoding="utf-8"))
    return found
