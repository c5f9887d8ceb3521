"""What an exit handler is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        state: ``SUCCEEDED``, ``FAILED`` or ``CANCELLED``.
        run: KFP's name of the run.
        error: What went wrong, as KFP says it; empty where nothing did.
    """

    state: str
    run: str = ""
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether every step ran."""
        return self.state == "SUCCEEDED"

    @classmethod
    def from_status(cls, status: Mapping[str, Any]) -> Outcome:
        """Return the outcome that KFP's ``PipelineTaskFinalStatus`` tells."""
        error = status.get("error") or {}
        return cls(
            state=str(status.get("state", "")),
            run=str(status.get("pipelineJobResourceName", "")),
            error=str(error.get("message", "")) if isinstance(error, Mapping) else str(error),
        )
