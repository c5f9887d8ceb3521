"""What every worker is told: all of a run that is the same for all shards. Travels between processes."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from penstock.components.batch_inference.features.converted import FeatureMap
from penstock.components.batch_inference.passing import Passing
from penstock.components.batch_inference.score_block import Nan
from penstock.components.batch_inference.scoring.scorer import ScorerSpec
from penstock.components.batch_inference.shards import Limits
from penstock.components.batch_inference.work import Work
from penstock.components.batch_inference.writing.writer import Writing


@dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
        limits: The most that a block may hold.
        columns: The columns that are read, with their types; of tables only.
        names: Names of the columns where the files do not have them.
    """

    limits: Limits
    columns: pa.Schema
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Job:
    """All of a run that is the same for all shards.

    Attributes:
        scorer: How to get the model.
        features: How rows feed it.
        passing: What is passed through.
        reading: How files are read.
        writing: How results are written.
        nan: What becomes of rows with a NaN.
        work: Where.
    """

    scorer: ScorerSpec
    features: FeatureMap
    passing: Passing
    reading: Reading
    writing: Writing
    nan: Nan
    work: Work
