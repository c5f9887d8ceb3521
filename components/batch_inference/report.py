"""What a finished shard reports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

MOST_CAUSES = 100
"""Causes of errors that are told apart in a shard; a sentence that quotes data could have as many forms as rows."""
OTHER = "other causes"


@dataclass(frozen=True)
class ShardReport:
    """What became of a shard.

    Attributes:
        index: Its number.
        input_file: The file that it is of.
        first_row: Number of its first row in that file, from 0.
        rows: Its rows, a count: results plus errors. A loss that cannot be counted stands for one.
        errors: Rows without a prediction, a count.
        uncounted: Losses that cannot be counted, a count of places in the file.
        results_file: Name of its result file.
        errors_file: Name of its errors file; empty if there is none.
        causes: Cause → rows that it cost.
        bytes: Bytes of the input file that were read for it, about.
    """

    index: int
    input_file: str
    first_row: int
    rows: int
    errors: int
    uncounted: int
    results_file: str
    errors_file: str
    causes: Mapping[str, int]
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON data; :meth:`from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return the report of JSON data."""
        return cls(**data)


def causes_of(reports: Iterable[ShardReport]) -> tuple[tuple[str, int], ...]:
    """Return the causes of all shards and how many rows each cost, most first."""
    total: Counter[str] = Counter()
    for report in reports:
        total.update(report.causes)
    return tuple(sorted(total.items(), key=lambda item: (-item[1], item[0])))
