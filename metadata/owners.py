"""Who started an execution, recorded with it: whether that command still runs, and where it writes."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Self

from penstock.metadata import vocabulary
from penstock.metadata.records import Value
from penstock.processes import machine, started

LEFT_BEHIND = "the run that started it ended without finishing it"
"""Why a later run closed an execution; when it ended, nobody knows."""


@dataclass(frozen=True)
class Owner:
    """The run that started an execution.

    Attributes:
        pipeline: The pipeline's name.
        root: Absolute path of its root.
        lock: Identity of the root's lock; two roots of the same path on two machines have two.
        machine: The machine's name, its boot and the namespace of its process ids.
        pid: The process that holds the lock.
        started: When that process started, in clock ticks since the boot: a process id is used again.
    """

    pipeline: str
    root: str
    lock: str
    machine: str
    pid: int
    started: int

    @classmethod
    def here(cls, pipeline: str, root: str, lock: str) -> Self:
        """Return this process as an owner."""
        return cls(pipeline, root, lock, machine(), os.getpid(), started(os.getpid()) or 0)

    @classmethod
    def from_text(cls, text: str) -> Self | None:
        """Inverse of :attr:`text`; None for what is no owner, or that of a version of Penstock that says more."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None

    @property
    def text(self) -> str:
        """The owner as it is recorded."""
        return json.dumps(asdict(self), sort_keys=True)

    def alive(self) -> bool | None:
        """Whether its process runs; None where only its own machine can tell."""
        if self.machine != machine():
            return None
        return started(self.pid) == self.started


def is_gone(properties: Mapping[str, Value]) -> bool:
    """Return whether it is known that nobody finishes an execution any more.

    False as well where that cannot be known: another machine's process, or an execution that says no owner.

    Args:
        properties: Of the execution.
    """
    owner = _owner(properties)
    return owner is not None and owner.alive() is False


def root_of(properties: Mapping[str, Value]) -> str:
    """Return the root of the pipeline that an execution belongs to; empty where it says no owner."""
    owner = _owner(properties)
    return owner.root if owner is not None else ""


def _owner(properties: Mapping[str, Value]) -> Owner | None:
    return Owner.from_text(str(properties.get(vocabulary.OWNER, "")))
