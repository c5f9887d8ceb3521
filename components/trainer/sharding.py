"""How the rows of a split are shared out: over steps, replicas and workers. Imports no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from penstock.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from penstock.components.trainer.records import Split

Sharding = Literal["file", "data"]

_BALANCED = 1.1
"""Rows of the worker that has most, in those of the mean worker, up to which files count as shared out evenly."""


class PassShape(NamedTuple):
    """How one pass over a split is cut into steps.

    Args:
        full_steps: Steps in which each replica sees a full batch, a count.
        last_batch: Rows that each replica sees in one more, smaller step; 0 if there is none.
    """

    full_steps: int
    last_batch: int

    @property
    def steps(self) -> int:
        """Steps of the pass, a count of global batches."""
        return self.full_steps + (self.last_batch > 0)


@dataclass(frozen=True)
class BatchPlan:
    """Who sees how many rows in one step.

    Args:
        batch_size: Rows that a replica sees in one step.
        replicas: Replicas over all workers, a count.
        workers: Processes that share the split out, a count.
        worker: This process among them, from 0.
        sharding: ``file`` gives each worker its own files; with ``data`` each reads all files and keeps its rows.
        static_batches: Every batch is full, as TPUs need it: the remainder of a pass is left out.

    Raises:
        ConfigError: The replicas cannot be shared out evenly, or the worker is none of them.
    """

    batch_size: int
    replicas: int = 1
    workers: int = 1
    worker: int = 0
    sharding: Sharding = "data"
    static_batches: bool = False

    def __post_init__(self) -> None:
        if self.workers < 1 or self.replicas % self.workers or self.replicas < 1:
            raise ConfigError(
                "the replicas cannot be shared out evenly over the workers",
                received=f"{_count(self.replicas, 'replica')}, {_count(self.workers, 'worker')}",
                expected="as many replicas on each worker",
                hint="give every worker the same number of devices",
            )
        if not 0 <= self.worker < self.workers:
            raise ConfigError(
                f"there is no worker {self.worker}",
                received=_count(self.workers, "worker"),
                expected=f"a number from 0 to {self.workers - 1}",
            )

    @property
    def global_batch(self) -> int:
        """Rows of one step over all replicas, a count."""
        return self.batch_size * self.replicas

    @property
    def local_replicas(self) -> int:
        """Replicas of this process, a count."""
        return self.replicas // self.workers

    def pass_shape(self, split_rows: int) -> PassShape:
        """Return how one pass is cut into steps in which all replicas see the same number of rows.

        The last step takes what is left, cut to a multiple of the replicas. At most ``replicas - 1`` rows of a pass
        are thus left out; after the next pass's shuffling they are others.

        Args:
            split_rows: Rows of the split, a count.

        Raises:
            ArtifactError: The split has no row for each replica, or with ``static_batches`` no full batch.
        """
        full_steps, rest = divmod(split_rows, self.global_batch)
        shape = PassShape(full_steps, 0 if self.static_batches else rest // self.replicas)
        if not shape.steps:
            needed = self.global_batch if self.static_batches else self.replicas
            raise ArtifactError(
                f"a batch that cannot be split: {_count(split_rows, 'row')} for {_count(self.replicas, 'replica')}",
                received=f"a split of {_count(split_rows, 'row')}",
                expected=f"at least {_count(needed, 'row')}"
                + (f", a full batch of {self.batch_size} for each replica" if self.static_batches else ""),
                hint="train with fewer replicas, a smaller batch_size or more data"
                if self.static_batches
                else "train with fewer replicas or more data",
            )
        return shape

    def steps_per_epoch(self, split_rows: int) -> int:
        """Return the steps of one pass, a count of global batches.

        Args:
            split_rows: Rows of the split over all workers, a count.

        Raises:
            ArtifactError: The split has no row for each replica, or with ``static_batches`` no full batch.
        """
        return self.pass_shape(split_rows).steps


def choose_sharding(
    split: Split,
    requested: Literal["auto", "file", "data"],
    workers: int,
    *,
    split_name: str,
    announce: Callable[[str], None],
) -> Sharding:
    """Return what the workers share out: files or rows.

    Files cost less, as each worker reads only its own, but only where all have about as many rows. ``auto`` takes files
    if the worker with most rows has at most a tenth more than the mean, and says in one line what it took and why.

    Args:
        split: The files, with their rows.
        requested: The option ``input.autoshard``.
        workers: Processes that share the split out, a count.
        split_name: The split's name, for messages.
        announce: Receives that line.

    Raises:
        ArtifactError: ``file`` is requested, and there are fewer files with rows than workers.
    """
    if workers == 1 or requested == "data":
        return "data"
    files = _filled(split)
    counts = f"{_count(files, 'file')} for {_count(workers, 'worker')}"
    if requested == "file":
        if files < workers:
            raise ArtifactError(
                f"split {split_name!r} cannot be shared out by files: {counts}",
                received=f"{_count(files, 'file')} with rows",
                expected=f"at least {workers}, one for each worker",
                hint="set input.autoshard to data, or let the ExampleGen step write more shards",
            )
        return "file"
    most = max(_rows_dealt(split.rows_per_file, workers))
    sharding: Sharding = "file" if files >= workers and most * workers <= _BALANCED * split.rows else "data"
    reason = (
        "each reads its own"
        if sharding == "file"
        else "each reads all and keeps its rows"
        if files < workers
        else f"each reads all and keeps its rows, as by files one would get {most} of {split.rows} rows"
    )
    announce(f"split {split_name!r} is shared out by {_BY[sharding]}: {counts}, {reason}")
    return sharding


def evaluation_plan(split: Split, plan: BatchPlan) -> BatchPlan:
    """Return the plan for one pass over another split than the plan was made for.

    Files are shared out only where no worker goes without, and not where every batch must be full: workers would then
    have different numbers of them.

    Args:
        split: What to evaluate with.
        plan: The plan of the training.
    """
    by_rows = plan.static_batches or _filled(split) < plan.workers
    return replace(plan, sharding="data") if by_rows else plan


def files_of(split: Split, plan: BatchPlan) -> tuple[str, ...]:
    """Return the files that this worker reads, in the split's order.

    Args:
        split: The files, with their rows.
        plan: Who reads what.
    """
    return share_of(split, plan).files


def share_of(split: Split, plan: BatchPlan) -> Split:
    """Return the part of a split that this worker reads.

    Args:
        split: The files, with their rows.
        plan: Who reads what.
    """
    if plan.sharding == "data":
        return split
    owners = _owners(split.rows_per_file, plan.workers)
    own = [number for number, owner in enumerate(owners) if owner == plan.worker]
    files, rows = split.files, split.rows_per_file
    return replace(split, files=tuple(files[number] for number in own), rows_per_file=tuple(rows[n] for n in own))


_BY: dict[Sharding, str] = {"file": "files", "data": "rows"}


def _filled(split: Split) -> int:
    return sum(rows > 0 for rows in split.rows_per_file)


def _owners(rows_per_file: Sequence[int], workers: int) -> list[int]:
    """Deal files out, the largest first, each to the worker that has fewest rows so far."""
    held = [0] * workers
    owners = [0] * len(rows_per_file)
    for file in sorted(range(len(rows_per_file)), key=lambda number: (-rows_per_file[number], number)):
        owners[file] = held.index(min(held))
        held[owners[file]] += rows_per_file[file]
    return owners


def _rows_dealt(rows_per_file: Sequence[int], workers: int) -> list[int]:
    held = [0] * workers
    for owner, rows in zip(_owners(rows_per_file, workers), rows_per_file, strict=True):
        held[owner] += rows
    return held


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
