"""A list of files: each line is a path, and the bytes of that file are the row."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from penstock.components.batch_inference.job import Reading
from penstock.components.batch_inference.places import Place, is_url, place_of
from penstock.components.batch_inference.reading.lines import open_lines
from penstock.components.batch_inference.remote_files import read_url
from penstock.components.batch_inference.rows import RECORD, BadRow, Block
from penstock.components.batch_inference.shards import Shard

PATH = "path"
"""The column that holds the path, as it is written in the list."""
SCHEMA = pa.schema([(PATH, pa.string()), (RECORD, pa.binary())])


def blocks(shard: Shard, reading: Reading) -> Iterator[Block]:
    """Yield the files of a list; relative paths begin at the list's folder. Empty lines are none."""
    gathered = _Gathered()
    folder = place_of(shard.file.path).parent
    with open_lines(shard.file) as stream:
        text = b"".join(iter(lambda: stream.read(1 << 20), b""))
        paths = [line.strip() for line in text.splitlines() if line.strip()]
        for number, path in enumerate(paths):
            gathered.add(number, path, folder)
            if len(gathered.records) == reading.limits.rows or gathered.size >= reading.limits.size:
                yield gathered.block()
                gathered = _Gathered()
        if stream.complaint is not None:
            gathered.bad.append(BadRow(len(paths), stream.complaint, None, -1))
    yield gathered.block()


def _content(folder: Place, path: str) -> bytes:
    place = path if is_url(path) else str(folder / path)
    content = read_url(place) if is_url(place) else Path(place).read_bytes()
    if content is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    return content


class _Gathered:
    """Files that become a block."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.paths: list[str] = []
        self.records: list[bytes] = []
        self.bad: list[BadRow] = []
        self.size = 0

    def add(self, number: int, line: bytes, folder: Place) -> None:
        try:
            path = line.decode()
            record = _content(folder, path)
        except UnicodeDecodeError:
            self.bad.append(BadRow(number, "the path is no UTF-8 text", line))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self.bad.append(BadRow(number, f"the file cannot be read: {reason}", line))
        else:
            self.numbers.append(number)
            self.paths.append(path)
            self.records.append(record)
            self.size += len(record)

    def block(self) -> Block:
        rows = pa.RecordBatch.from_arrays(
            [pa.array(self.paths, pa.string()), pa.array(self.records, pa.binary())], schema=SCHEMA
        )
        return Block(np.array(self.numbers, np.int64), rows, tuple(self.bad), sum(map(len, self.paths)))
