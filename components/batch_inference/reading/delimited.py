"""CSV, parsed by Arrow; all values are texts here, and what they mean is for the signature to say."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import csv

from penstock.components.batch_inference.bisect import Refused, bisect
from penstock.components.batch_inference.job import Reading
from penstock.components.batch_inference.reading.batches import empty_batch, one_batch
from penstock.components.batch_inference.reading.lines import open_lines
from penstock.components.batch_inference.rows import BadRow, Block, row_as_json
from penstock.components.batch_inference.shards import InputFile, Limits, Shard
from penstock.errors import ArtifactError, ConfigError

_LEAST_BYTES, _MOST_BYTES = 1 << 20, 8 << 20
"""Of a parsed block: Arrow's default is 1 MiB, and no row may be larger than a block."""


def schema(file: InputFile, names: Sequence[str] | None) -> pa.Schema:
    """Return the columns of a file: texts.

    Raises:
        ArtifactError: The file has no header, or cannot be parsed.
        ConfigError: It has not as many columns as there are names.
    """
    with open_lines(file) as lines, _parsable(file):
        options = csv.ReadOptions(use_threads=False, autogenerate_column_names=names is not None)
        parsing = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda _: "skip")
        found = csv.open_csv(lines, options, parsing).schema.names
    if names is not None and len(names) != len(found):
        raise ConfigError(
            f"the file has {len(found)} columns, and {len(names)} are named",
            where=file.path,
            received=", ".join(names),
            expected=f"{len(found)} names",
        )
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise ArtifactError(f"the header names {twice[0]!r} twice", where=file.path, received=", ".join(found))
    return pa.schema([(name, pa.string()) for name in names or found])


def blocks(shard: Shard, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a file; those with another number of values than the header are bad. Empty lines are none.

    Raises:
        ArtifactError: The file cannot be parsed.
    """
    numbers = _Numbers(header=reading.names is None)
    # All columns, whatever is needed of them: of a bad row, the errors file has all of it.
    names = schema(shard.file, reading.names).names
    with open_lines(shard.file) as lines, _parsable(shard.file):
        reader = csv.open_csv(lines, *_options(reading, names, numbers))
        for batch in reader:
            yield from _cut(numbers.block(batch, reading.columns.names), reading.limits)
        left = numbers.left()
        if lines.complaint is not None:
            left = [*left, BadRow(numbers.next, lines.complaint, None, -1)]
        if left:
            yield Block(np.zeros(0, np.int64), empty_batch(reading.columns), tuple(left))


class _Numbers:
    """Numbers the rows of a file; Arrow tells those of the rows that it cannot parse.

    Args:
        header: Whether the first line is one.

    Attributes:
        next: Number of the next row.
    """

    def __init__(self, *, header: bool) -> None:
        self._before = 2 if header else 1
        self._bad: list[BadRow] = []
        self.next = 0

    def invalid(self, row: Any) -> str:
        """Keep a row that cannot be parsed; called by Arrow, maybe long before the rows before it are yielded."""
        cause = f"the row has {row.actual_columns} values, and the header names {row.expected_columns}"
        insort(self._bad, BadRow(row.number - self._before, cause, row.text.encode()))
        return "skip"

    def block(self, batch: pa.RecordBatch, names: Sequence[str]) -> Block:
        """Return the next rows as a block of texts, with the columns that are needed."""
        stop = self.next + batch.num_rows
        passed = 0
        while passed < len(self._bad) and self._bad[passed].number < stop:
            passed, stop = passed + 1, stop + 1
        bad, self._bad = self._bad[:passed], self._bad[passed:]
        numbers = np.setdiff1d(np.arange(self.next, stop), [row.number for row in bad], assume_unique=True)
        self.next = stop
        return _decoded(Block(numbers, batch, tuple(bad), batch.nbytes), names)

    def left(self) -> list[BadRow]:
        """Return the bad rows at the end of the file."""
        self.next += len(self._bad)
        return self._bad


def _decoded(block: Block, names: Sequence[str]) -> Block:
    """Return some columns as texts instead of bytes; a row that is no UTF-8 there is bad."""
    needed = block.rows.select(list(names))

    def decode(start: int, stop: int) -> pa.RecordBatch:
        rows = needed.slice(start, stop - start)
        try:
            columns = [column.cast(pa.string()) for column in rows.columns]
        except pa.ArrowInvalid as error:
            raise Refused("the row is no UTF-8 text") from error
        return pa.RecordBatch.from_arrays(columns, list(names))

    found = bisect(decode, block.rows.num_rows)
    rows = one_batch([part for _, _, part in found.parts], pa.schema([(name, pa.string()) for name in names]))
    bad = [BadRow(int(block.numbers[at]), cause, _joined(block.rows, at)) for at, cause in found.bad]
    places = np.delete(np.arange(len(block.numbers)), [at for at, _ in found.bad])
    return Block(
        numbers=block.numbers[places],
        rows=rows,
        bad=tuple(sorted([*block.bad, *bad])),
        size=block.size,
        original=lambda at: row_as_json(block.rows, int(places[at])),
    )


def _joined(rows: pa.RecordBatch, at: int) -> bytes:
    return b",".join(column[at].as_py() or b"" for column in rows.columns)


def _cut(block: Block, limits: Limits) -> Iterator[Block]:
    """Yield a block as several that keep to the number of rows; its bad rows go with the first."""
    if block.rows.num_rows <= limits.rows:
        yield block
        return
    for start in range(0, block.rows.num_rows, limits.rows):
        rows = block.rows.slice(start, limits.rows)
        yield Block(
            numbers=block.numbers[start : start + limits.rows],
            rows=rows,
            bad=() if start else block.bad,
            size=block.size * rows.num_rows // block.rows.num_rows,
            original=partial(_original, block, start),
        )


def _original(block: Block, start: int, at: int) -> bytes:
    return block.original(start + at) if block.original else b""


def _options(
    reading: Reading, names: Sequence[str], numbers: _Numbers
) -> tuple[csv.ReadOptions, csv.ParseOptions, csv.ConvertOptions]:
    size = min(max(_LEAST_BYTES, reading.limits.size), _MOST_BYTES)
    return (
        # Rows that cannot be parsed have numbers only if one thread parses.
        csv.ReadOptions(use_threads=False, block_size=size, column_names=reading.names),
        csv.ParseOptions(newlines_in_values=True, invalid_row_handler=numbers.invalid),
        csv.ConvertOptions(
            column_types={name: pa.binary() for name in names},
            include_columns=list(names),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
            check_utf8=False,
        ),
    )


class _parsable:  # noqa: N801  It reads as a function.
    """Turns what Arrow raises about a file into one error."""

    def __init__(self, file: InputFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, pa.ArrowInvalid):
            raise ArtifactError(
                f"the file cannot be read as CSV: {str(error).splitlines()[0]}",
                where=self._file.path,
                expected="a header and rows with as many values, or `columns` for files without a header",
            ) from error
