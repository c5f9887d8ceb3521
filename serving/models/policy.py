"""Which version to load or unload next: TF Serving's two ways from the versions that are there to those wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import Literal, TypeAlias


class Phase(Enum):
    """Where a managed version is, as transitions see it."""

    NEW = auto()
    LOADING = auto()
    READY = auto()
    UNLOADING = auto()
    DISABLED = auto()
    ERROR = auto()


@dataclass(frozen=True)
class Snapshot:
    """A managed version at one moment.

    Attributes:
        version: Its number.
        phase: Where it is.
        aspired: Whether it is wanted.
    """

    version: int
    phase: Phase
    aspired: bool


@dataclass(frozen=True)
class Action:
    """The next step for a model."""

    kind: Literal["load", "unload"]
    version: int


Transition: TypeAlias = Callable[[Sequence[Snapshot]], Action | None]


def availability_preserving(versions: Sequence[Snapshot]) -> Action | None:
    """Load the new version before the old one goes, so that there is always one; needs memory for both."""
    unwanted = [each.version for each in versions if each.phase is Phase.READY and not each.aspired]
    wanted = [each for each in versions if each.aspired]
    replaced = any(each.phase is Phase.READY for each in wanted)
    if unwanted and (not wanted or replaced or len(unwanted) > 1):
        return Action("unload", min(unwanted))
    return _load_highest(versions)


def resource_preserving(versions: Sequence[Snapshot]) -> Action | None:
    """Unload the old version before the new one is loaded, so that memory holds one; there is none in between."""
    unwanted = [each for each in versions if not each.aspired]
    ready = [each.version for each in unwanted if each.phase is Phase.READY]
    if ready:
        return Action("unload", min(ready))
    if any(each.phase not in (Phase.DISABLED, Phase.ERROR) for each in unwanted):
        return None
    return _load_highest(versions)


def _load_highest(versions: Sequence[Snapshot]) -> Action | None:
    fresh = [each.version for each in versions if each.aspired and each.phase is Phase.NEW]
    return Action("load", max(fresh)) if fresh else None


TRANSITIONS: Mapping[str, Transition] = MappingProxyType(
    {"availability_preserving": availability_preserving, "resource_preserving": resource_preserving}
)
