"""Large files → parts of about equal size, in order, where the format lets a reader begin in the middle."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from penstock.components.batch_inference.framing import FRAME, length_at
from penstock.components.batch_inference.places import is_url, open_file
from penstock.components.batch_inference.shards import InputFile, Part


def parts_of(file: InputFile, size: int) -> tuple[Part, ...] | None:
    """Return the parts of a file that is larger than ``size`` bytes; None for one that is read as a whole.

    The rows before each part are counted: that is what rows are called by. For this a file behind a URL would be read
    twice, unless it is Parquet: it is read as a whole, as a damaged file is.

    Args:
        file: The file.
        size: Bytes of a part, about.
    """
    if file.gzip or file.size <= size or (is_url(file.path) and file.format != "parquet"):
        return None
    find = {"tfrecord": _of_records, "jsonl": _of_lines, "parquet": _of_row_groups}.get(file.format)
    parts = tuple(find(file, size)) if find else ()
    return parts if len(parts) > 1 else None


def _of_records(file: InputFile, size: int) -> Iterator[Part]:
    """Follow the lengths of the records from one to the next."""
    with Path(file.path).open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        start = position = first = row = 0
        found: list[Part] = []
        while position < len(data):
            length = length_at(data, position)
            if length is None:
                return
            following = position + FRAME + length
            if following > len(data):
                return
            row, position = row + 1, following
            if position - start >= size or position == len(data):
                found.append(Part(start, position, first, row - first))
                start, first = position, row
        yield from found


def _of_lines(file: InputFile, size: int) -> Iterator[Part]:
    """Count the lines, empty ones excepted, as those who read them do."""
    start = first = row = position = 0
    with Path(file.path).open("rb") as stream:
        for line in stream:
            position += len(line)
            row += bool(line.strip())
            if position - start >= size:
                yield Part(start, position, first, row - first)
                start, first = position, row
    if position > start:
        yield Part(start, position, first, row - first)


def _of_row_groups(file: InputFile, size: int) -> Iterator[Part]:
    import pyarrow.parquet as pq

    with open_file(file.path) as stream:
        metadata = pq.read_metadata(stream)
    start = first = row = gathered = 0
    for group in range(metadata.num_row_groups):
        gathered += metadata.row_group(group).total_byte_size
        row += metadata.row_group(group).num_rows
        if gathered >= size or group == metadata.num_row_groups - 1:
            yield Part(start, group + 1, first, row - first)
            start, first, gathered = group + 1, row, 0
