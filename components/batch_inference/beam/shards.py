"""Whole shards through a DoFn: reading, scoring and writing go on in C++ inside the worker, not element by element."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.metrics import Metrics

from penstock.components.batch_inference.job import Job
from penstock.components.batch_inference.score_shard import progress_counter, score_shard
from penstock.components.batch_inference.shards import Shard

NAMESPACE = "penstock.batch_inference"
"""Namespace of the metrics ``rows``, ``errors`` and ``bytes``."""


class ScoreShard(beam.DoFn):
    """Scores shards; gives the index of each that is finished.

    Args:
        job: The run.
    """

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self._rows = Metrics.counter(NAMESPACE, "rows")
        self._errors = Metrics.counter(NAMESPACE, "errors")
        self._bytes = Metrics.counter(NAMESPACE, "bytes")

    def process(self, shard: Shard) -> Iterator[int]:
        """Score one shard."""
        progress = progress_counter(self._job, shard)
        before = (0, 0, 0)

        def count(rows: int, errors: int, size: int) -> None:
            nonlocal before
            for metric, now, then in zip(
                (self._rows, self._errors, self._bytes), (rows, errors, size), before, strict=True
            ):
                metric.inc(now - then)
            before = (rows, errors, size)
            progress(rows, errors, size)

        score_shard(self._job, shard, count)
        yield shard.index


class ScoreShards(beam.PTransform):
    """Scores all shards of a run, spread over the workers; gives their indices.

    Args:
        job: The run.
        shards: What to score.
    """

    def __init__(self, job: Job, shards: tuple[Shard, ...]) -> None:
        super().__init__()
        self._job = job
        self._shards = shards

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        """Make the transform."""
        return (
            begin
            | "Shards" >> beam.Create(list(self._shards), reshuffle=False)
            | "Spread" >> beam.Reshuffle()
            | "Score" >> beam.ParDo(ScoreShard(self._job))
        )
