"""What several replicas' batches are slices of."""

from __future__ import annotations

from dataclasses import replace

from penstock.components.trainer.sharding import BatchPlan

Batches = list[list[int]]
"""The rows of one process's batches, in turn."""


def workers_of(plan: BatchPlan) -> list[BatchPlan]:
    """Return the plan as each of its workers has it."""
    return [replace(plan, worker=worker) for worker in range(plan.workers)]


def global_batches(of_workers: list[Batches], plan: BatchPlan) -> Batches:
    """Put the batches of all workers' replicas together, step by step."""
    local = plan.local_replicas
    steps = {len(batches) // local for batches in of_workers}
    assert len(steps) == 1, "workers take different numbers of steps"
    return [
        [row for batches in of_workers for batch in batches[step * local : (step + 1) * local] for row in batch]
        for step in range(steps.pop())
    ]


def flat(batches: Batches) -> list[int]:
    """Return all rows in turn."""
    return [row for batch in batches for row in batch]
