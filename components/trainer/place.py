"""A process's place among those that train together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """This process's place in the cluster.

    Args:
        workers: Processes that compute training steps, a count.
        worker: This one's number among them, from 0; the coordinator of parameter servers is none of them.
        chief: Whether this process's files stay.
    """

    workers: int = 1
    worker: int = 0
    chief: bool = True


ALONE = Place()
