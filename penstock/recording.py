"""Work that must wait until a step's outcome is recorded, such as removing what a killed step would go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_waiting: list[list[Callable[[], None]]] = []


def when_recorded(action: Callable[[], None]) -> None:
    """Do something once the running step's outcome is in ML Metadata; at once where no runner says when that is."""
    if _waiting:
        _waiting[-1].append(action)
    else:
        action()


@contextmanager
def recording() -> Iterator[None]:
    """Hold back what :func:`when_recorded` is given inside the block until it ends well; else it is never done."""
    actions: list[Callable[[], None]] = []
    _waiting.append(actions)
    try:
        yield
    finally:
        _waiting.remove(actions)
    for action in actions:
        action()
