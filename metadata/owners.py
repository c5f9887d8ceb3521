"""Who started an execution: whether that command still runs, and where it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from penstock.metadata import vocabulary
from penstock.metadata.records import Value
from penstock.processes import machine, started

LEFT_BEHIND = "the run that started it ended without finishing it"
"""Why a later run closed an execution; when it ended, nobody knows."""


def is_gone(properties: Mapping[str, Value]) -> bool:
    """Return whether it is known that nobody finishes an execution any more.

    False as well where that cannot be known: another machine's process, or an execution that says no owner.

    Args:
        properties: Of the execution.
    """
    owner = _owner(properties)
    if owner.get("machine") != machine() or not isinstance(owner.get("pid"), int):
        return False
    return started(owner["pid"]) != owner.get("started")


def root_of(properties: Mapping[str, Value]) -> str:
    """Return the root of the pipeline that an execution belongs to; empty where it says no owner."""
    return str(_owner(properties).get("root", ""))


def _owner(properties: Mapping[str, Value]) -> dict[str, Any]:
    try:
        owner = json.loads(str(properties.get(vocabulary.OWNER, "{}")))
    except ValueError:
        return {}
    return owner if isinstance(owner, dict) else {}
