"""How long a step waits for its job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long things may take, in seconds.

    Attributes:
        look: Between two looks at the job.
        start: Until all pods run.
        silence: For which the API may not answer.
        logs: For which the rest of the ended pods' logs is waited for.
        files: For which a network file system may not show what the chief left.
        beat: Between two heartbeats.
    """

    look: float = 2.0
    start: float = 1800.0
    silence: float = 300.0
    logs: float = 10.0
    files: float = 60.0
    beat: float = 5.0
