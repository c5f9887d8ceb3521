"""How batches reach the replicas."""

from __future__ import annotations

from typing import Any, Protocol

import tensorflow as tf


class Feed(Protocol):
    """Hands each replica of this process its batch of a step."""

    def iterator(self, dataset: Any) -> Any:
        """Return an iterator over a dataset of per-replica batches, those of a step one after the other."""

    def take(self, iterator: Any) -> Any:
        """Return the batches of the next step."""

    def mine(self, batches: Any) -> Any:
        """Return, inside a replica, its own batch."""


class HostFeed:
    """Batches stay in the host's memory until a replica reads them.

    TensorFlow's own distributed iterators take longer to hand over a batch than a small model to compute it: with
    them a step on two logical CPUs waited for its batch more than half of the time.

    Args:
        replicas: Replicas of this process, a count.
    """

    def __init__(self, replicas: int) -> None:
        self._replicas = replicas

    def iterator(self, dataset: Any) -> Any:
        """Return an iterator over the dataset, again and again."""
        return iter(dataset.repeat())

    def take(self, iterator: Any) -> tuple[Any, ...]:
        """Return one batch a replica."""
        return tuple(next(iterator) for _ in range(self._replicas))

    def mine(self, batches: tuple[Any, ...]) -> Any:
        """Return the batch of the replica that calls."""
        replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
        return batches[int(replica) % self._replicas]


class DeviceFeed:
    """Batches are copied to the replicas' devices ahead of the step.

    Args:
        strategy: The strategy.
    """

    def __init__(self, strategy: Any) -> None:
        self._strategy = strategy

    def iterator(self, dataset: Any) -> Any:
        """Return TensorFlow's distributed iterator over the dataset, again and again."""
        # Without an end as TensorFlow sees it: otherwise every step would ask all workers whether they have a batch.
        endless = dataset.repeat()
        return iter(self._strategy.distribute_datasets_from_function(lambda _context: endless))

    def take(self, iterator: Any) -> Any:
        """Return the step's batches as one distributed value."""
        return next(iterator)

    def mine(self, batches: Any) -> Any:
        """Return the batch, which the strategy has picked."""
        return batches
