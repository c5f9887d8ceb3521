"""Who started an execution, recorded with it, so that a later run can tell whether that run still lives."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from typing import Self

from penstock.processes import machine, started


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
