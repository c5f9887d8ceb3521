"""JSON Lines: an object a row, or its bare value, or a list of the values of columns that are named."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from penstock.components.batch_inference.bisect import Refused, bisect
from penstock.components.batch_inference.job import Reading
from penstock.components.batch_inference.reading.batches import empty_batch, one_batch
from penstock.components.batch_inference.reading.lines import Lines, open_lines
from penstock.components.batch_inference.rows import BadRow, Block
from penstock.components.batch_inference.shards import InputFile, Shard
from penstock.errors import ArtifactError, ConfigError
from penstock.serving._rows import is_b64, plain_bytes

VALUE = "value"
"""The column that a row is which is a bare value."""
_BUFFER = 1 << 20
_MISFITS = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError)


def schema(file: InputFile, names: Sequence[str] | None, probed: int) -> pa.Schema | None:
    """Return the columns of a file, with the types that its first rows have; None if it has no row.

    Raises:
        ArtifactError: None of the first rows is JSON.
    """
    rows: list[Mapping[str, Any]] = []
    refused: str | None = None
    with open_lines(file) as stream:
        for line in islice(_parted(stream), probed):
            try:
                rows.append(_row(line, names))
            except Refused as refusal:
                refused = refused or str(refusal)
    if refused and not rows:
        raise ArtifactError(f"the file holds no JSON Lines: {refused}", where=file.path)
    columns = {name: None for row in rows for name in row}
    return pa.schema([(name, _type_of([row.get(name) for row in rows])) for name in columns]) if rows else None


def blocks(shard: Shard, reading: Reading) -> Iterator[Block]:
    """Yield the rows of a shard; empty lines are none."""
    number = shard.part.first_row if shard.part else 0
    lines: list[bytes] = []
    size = 0
    part = shard.part
    with open_lines(shard.file, part.start if part else 0) as stream:
        for line in _parted(stream, part.stop - part.start if part else None):
            lines.append(line)
            size += len(line)
            if len(lines) == reading.limits.rows or size >= reading.limits.size:
                yield _block(lines, number, reading)
                number += len(lines)
                lines, size = [], 0
        if lines:
            yield _block(lines, number, reading)
        if stream.complaint is not None:
            lost = BadRow(number + len(lines), stream.complaint, None, -1)
            yield Block(np.zeros(0, np.int64), empty_batch(reading.columns), (lost,))


def _parted(stream: Lines, size: int | None = None) -> Iterator[bytes]:
    """Yield the lines that are not empty, of so many bytes."""
    for line in io.BufferedReader(stream, _BUFFER):
        if size is not None:
            if size <= 0:
                return
            size -= len(line)
        if stripped := line.strip():
            yield stripped


def _block(lines: Sequence[bytes], first: int, reading: Reading) -> Block:
    rows: list[Mapping[str, Any]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    for number, line in enumerate(lines, start=first):
        try:
            rows.append(_row(line, reading.names))
            numbers.append(number)
        except Refused as refusal:
            bad.append(BadRow(number, str(refusal), line))
    found = bisect(lambda start, stop: _columns(rows[start:stop], reading.columns), len(rows))
    bad += [BadRow(numbers[at], cause, lines[numbers[at] - first]) for at, cause in found.bad]
    good = [number for start, stop, _ in found.parts for number in numbers[start:stop]]
    parts = [part for _, _, part in found.parts]
    return Block(
        numbers=np.array(good, np.int64),
        rows=one_batch(parts, reading.columns),
        bad=tuple(sorted(bad)),
        size=sum(map(len, lines)) + len(lines),
        original=lambda at: lines[good[at] - first],
    )


def _row(line: bytes, names: Sequence[str] | None) -> Mapping[str, Any]:
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the line is no JSON: {str(error).partition(':')[0]}") from error
    if isinstance(found, dict) and not is_b64(found):
        return found
    if names is None:
        return {VALUE: found}
    if len(names) == 1 and not (isinstance(found, list) and len(found) == 1):
        return {names[0]: found}
    if not isinstance(found, list) or len(found) != len(names):
        raise Refused(f"the row is no list of {len(names)} values")
    return dict(zip(names, found, strict=True))


def _columns(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        values = [row.get(field.name) for row in rows]
        if _holds_texts(field.type):
            values = [_decoded(value, field) for value in values]
        try:
            arrays.append(pa.array(values, field.type))
        except _MISFITS as error:
            raise Refused(f"the column {field.name!r} holds {values[0]!r:.60}, which is no {field.type}") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema) if arrays else _without_columns(len(rows))


def _without_columns(rows: int) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.nulls(rows)], [""]).select([])


def _holds_texts(kind: pa.DataType) -> bool:
    while pa.types.is_list(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def _decoded(value: Any, field: pa.Field) -> Any:
    """Return a value with its bytes instead of ``{"b64": …}``."""
    if isinstance(value, list):
        return [_decoded(item, field) for item in value]
    if not is_b64(value):
        return value
    try:
        return plain_bytes(value)
    except ConfigError as error:
        raise Refused(f"the column {field.name!r}: {error.what}") from error


def _type_of(values: Sequence[Any]) -> pa.DataType:
    """Return the type that values have together, or else the one that most of them have: the others are bad rows."""
    plain = [_as_bytes(value) for value in values]
    try:
        return pa.array(plain).type
    except _MISFITS:
        found = bisect(lambda start, stop: _converted(plain[start:stop]), len(plain)).parts
    kinds = Counter({kind: 0 for _, _, kind in found})
    for start, stop, kind in found:
        kinds[kind] += stop - start
    return kinds.most_common(1)[0][0] if kinds else pa.null()


def _converted(values: Sequence[Any]) -> pa.DataType:
    try:
        return pa.array(values).type
    except _MISFITS as error:
        raise Refused from error


def _as_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_bytes(item) for item in value]
    return b"" if is_b64(value) else value
