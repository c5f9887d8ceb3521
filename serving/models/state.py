"""The states that a version goes through, as the ModelService shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from penstock.serving.errors import Code


class State(IntEnum):
    """Where a version is in its life; the numbers of ``GetModelStatusResponse``."""

    UNKNOWN = 0
    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionStatus:
    """State of one version.

    Attributes:
        version: Its number.
        state: Where it is in its life. A load that failed is an ``END`` with an error.
        code: ``OK`` unless it failed.
        message: Why it failed.
    """

    version: int
    state: State
    code: Code = Code.OK
    message: str = ""
