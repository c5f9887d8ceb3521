"""Scores one shard: reads, asks, writes, and says that it is finished. Runs in whatever process the runner has."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from penstock.components.batch_inference.ahead import in_order
from penstock.components.batch_inference.job import Job
from penstock.components.batch_inference.reading.open import open_blocks
from penstock.components.batch_inference.report import ShardReport
from penstock.components.batch_inference.rows import BadRow, Block
from penstock.components.batch_inference.score_block import BlockScorer
from penstock.components.batch_inference.scoring.scorer import shared
from penstock.components.batch_inference.scoring.sizing import BatchSizer
from penstock.components.batch_inference.shards import Shard
from penstock.components.batch_inference.watch import whoami
from penstock.components.batch_inference.writing.errors import ErrorsFile
from penstock.components.batch_inference.writing.writer import Writer, open_writer
from penstock.errors import EnvironmentProblem, PenstockError
from penstock.serving.errors import ServingError

_PART_BYTES = 1 << 28
"""Of predictions that are encoded together: the offsets of Arrow's columns, and with them 2 GiB, are the limit."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Done:
    """A block that is scored and encoded, in parts that a column can hold; in none where no row has a result."""

    encoded: tuple[Any, ...]
    results: int
    bad: tuple[BadRow, ...]
    size: int


class _Counts:
    """What a shard has come to so far."""

    def __init__(self) -> None:
        self.rows = self.errors = self.bytes = 0

    def add(self, done: _Done) -> None:
        lost = sum(max(row.lost, 1) for row in done.bad)
        self.rows += done.results + lost
        self.errors += lost
        self.bytes += done.size


def score_shard(job: Job, shard: Shard, count: Callable[[int, int, int], object] = lambda *_: None) -> ShardReport:
    """Score a shard, unless an earlier attempt has finished it.

    Args:
        job: The run.
        shard: What to score.
        count: Told of rows, errors and bytes as they are done.

    Raises:
        ArtifactError: The input or the model is not what it was, or cannot be read.
        EnvironmentProblem: The disk, or the server.
    """
    finished = job.work.report(shard.index)
    if finished is not None:
        return ShardReport.from_dict(finished)
    with _told(job, shard):
        shard.file.require_same()
        report = _scored(job, shard, count)
        shard.file.require_same()
        job.work.write_report(shard.index, report.to_dict())
    return report


def _scored(job: Job, shard: Shard, count: Callable[[int, int, int], object]) -> ShardReport:
    work = job.work
    results, failed = work.results(shard.index), work.errors(shard.index)
    partial_results, partial_errors = work.partial(results), work.partial(failed)
    errors = ErrorsFile(partial_errors, shard.file.path)
    counts = _Counts()
    with _removed_on_failure(partial_results, partial_errors):
        writer = open_writer(partial_results, job.writing)
        try:
            for done in _blocks(job, shard, writer):
                for encoded in done.encoded:
                    writer.append(encoded)
                errors.write(done.bad)
                counts.add(done)
                count(counts.rows, counts.errors, counts.bytes)
        finally:
            writer.close()
            errors.close()
        if errors.exists:
            work.keep(partial_errors, failed)
        work.keep(partial_results, results)
    return ShardReport(
        index=shard.index,
        input_file=shard.file.path,
        first_row=shard.part.first_row if shard.part else 0,
        rows=counts.rows,
        errors=errors.rows,
        uncounted=errors.uncounted,
        results_file=results,
        errors_file=failed if errors.exists else "",
        causes=dict(errors.causes),
        bytes=shard.size,
    )


@contextmanager
def _removed_on_failure(*files: Path) -> Iterator[None]:
    """Remove files that nobody goes on from; on a full disk, what went wrong needs their space to be kept."""
    try:
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def _blocks(job: Job, shard: Shard, writer: Writer) -> Iterator[_Done]:
    """Yield the shard's blocks in order, scored and encoded in threads while earlier ones are written."""
    scorer = shared(job.scorer)
    # A server puts batches together by itself; several of them are on their way at once.
    sizer = _sizer(job.scorer, job.reading.limits.rows) if scorer.parallelism == 1 else None
    blocks = BlockScorer(scorer, job.features, job.passing, job.nan, sizer)

    def score(block: Block) -> _Done:
        scored = blocks.score(block, shard.file.name)
        encoded = tuple(map(writer.encode, scored.predictions.parts(_PART_BYTES)))
        return _Done(encoded, len(scored.predictions.keys), scored.bad, block.size)

    return in_order(score, open_blocks(shard, job.reading), threads=scorer.parallelism)


@lru_cache(maxsize=8)
def _sizer(_: Hashable, most: int) -> BatchSizer:
    """Return the process's sizer of a model: what one shard has found out holds for the next."""
    return BatchSizer(most)


@contextmanager
def _told(job: Job, shard: Shard) -> Iterator[None]:
    """Turn what can go wrong into one of our errors, and keep it where the run's own process finds it."""
    try:
        with _translated(job, shard):
            yield
    except PenstockError as error:
        try:
            job.work.write_failure(error)
        except OSError as full:
            _log.warning("the run's own process learns of the error from the runner alone: %s", full)
        raise


@contextmanager
def _translated(job: Job, shard: Shard) -> Iterator[None]:
    try:
        yield
    except ServingError as error:
        raise EnvironmentProblem(
            f"the model cannot answer: {error.message}",
            where=shard.file.path,
            received=error.code.name,
            hint="run again: what is finished is kept",
        ) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC or "No space left" in str(error)
        raise EnvironmentProblem(
            "no space is left on the disk" if full else f"reading or writing failed: {error.strerror or error}",
            where=job.work.store.disk if full else str(error.filename or shard.file.path),
            hint="free some space, or choose another output folder, and run again: what is finished is kept"
            if full
            else "run again: what is finished is kept",
        ) from error


def progress_counter(job: Job, shard: Shard) -> Callable[[int, int, int], None]:
    """Return what writes how far a shard is, as often as the store bears; that it has begun is written at once."""
    worker, last = whoami(), [0.0]

    def count(rows: int, errors: int, size: int) -> None:
        now = time.monotonic()
        if now - last[0] >= job.work.store.pause:
            last[0] = now
            note = {"rows": rows, "errors": errors, "bytes": size, **worker}
            try:
                job.work.write_progress(shard.index, note)
            except EnvironmentProblem as error:
                # A store that is late once: the rows are worth more than the news of them.
                _log.warning("how far it is cannot be written now: %s", error)

    count(0, 0, 0)
    return count
