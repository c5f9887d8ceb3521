"""The versions of one model: those wanted, those managed, and the next step from these to those."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from penstock.serving.errors import ServingError
from penstock.serving.models.handle import Handle
from penstock.serving.models.policy import Phase, Snapshot, Transition
from penstock.serving.models.state import State


@dataclass(eq=False)
class Managed:
    """A version from the moment it is wanted until it is forgotten.

    Attributes:
        name: Name of the model.
        version: Its number.
        path: Its folder.
        phase: Where it is.
        aspired: Whether it is wanted.
        handle: Its loaded form, while it has one.
        cancelled: Set when it is no longer wanted: its load is not tried again.
    """

    name: str
    version: int
    path: Path
    phase: Phase = Phase.NEW
    aspired: bool = True
    handle: Handle | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)


class Stream:
    """All versions of one model; its owner's lock protects it.

    Args:
        name: Name of the model.
        transition: How to get from some versions to others.
        publish: Told of the states that a version enters here: ``START``, and ``END`` if it never was loaded.
    """

    def __init__(
        self, name: str, transition: Transition, publish: Callable[[str, int, State, ServingError | None], None]
    ) -> None:
        self.name = name
        self.managed: dict[int, Managed] = {}
        self._transition = transition
        self._publish = publish
        self._wanted: dict[int, Path] | None = None

    def aspire(self, versions: Mapping[int, Path]) -> None:
        """Say which versions are wanted from now on, each with its folder."""
        self._wanted = dict(versions)

    def step(self) -> tuple[Literal["load", "unload"], Managed] | None:
        """Return the next version to load or unload; None when there is nothing to do now."""
        self._forget()
        self._take_wanted()
        self._forget()
        snapshots = [Snapshot(each.version, each.phase, each.aspired) for each in self.managed.values()]
        action = self._transition(snapshots)
        return (action.kind, self.managed[action.version]) if action else None

    def _forget(self) -> None:
        for each in list(self.managed.values()):
            if each.aspired or each.phase not in (Phase.NEW, Phase.DISABLED, Phase.ERROR):
                continue
            del self.managed[each.version]
            if each.phase is Phase.NEW:
                self._publish(self.name, each.version, State.END, None)

    def _take_wanted(self) -> None:
        if self._wanted is None:
            return
        for version, path in self._wanted.items():
            present = self.managed.get(version)
            if present is None or present.aspired:
                continue
            if present.phase is not Phase.READY or present.path != path:
                # It must be gone before it can come back; until then all that is wanted waits.
                return
            # TF Serving would wait here too, unload what answers and load it again; a rollback would stand still.
            present.aspired = True
            present.cancelled.clear()
        for each in self.managed.values():
            if each.version not in self._wanted:
                each.aspired = False
                each.cancelled.set()
        for version, path in self._wanted.items():
            if version not in self.managed:
                self.managed[version] = Managed(self.name, version, path)
                self._publish(self.name, version, State.START, None)
        self._wanted = None
