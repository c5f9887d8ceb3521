"""What a check of the machine says."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        check: What was looked at.
        level: ``error`` when runs will fail, ``warning`` when some may.
        message: What was found.
        remedy: What to do, for anything that is not ok.
    """

    check: str
    level: Level
    message: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as JSON data."""
        return asdict(self)
