"""Names and sizes that the parameters of batch inference may hold."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

InputFormat: TypeAlias = Literal["tfrecord", "csv", "jsonl", "parquet", "file_list"]
OutputFormat: TypeAlias = Literal["jsonl", "csv", "parquet", "prediction_log", "tf_example"]
Compression: TypeAlias = Literal["none", "gzip", "snappy", "zstd"]

SUFFIXES: dict[OutputFormat, str] = {
    "jsonl": ".jsonl",
    "csv": ".csv",
    "parquet": ".parquet",
    "prediction_log": ".tfrecord",
    "tf_example": ".tfrecord",
}
"""Output format → what its files end with, without compression."""

_DEFAULT_COMPRESSION: dict[OutputFormat, Compression] = {
    "jsonl": "none",
    "csv": "none",
    "parquet": "snappy",
    # TFX's own readers of TFRecords take GZIP for granted.
    "prediction_log": "gzip",
    "tf_example": "gzip",
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(B|kB|KB|MB|GB)?", re.ASCII)
_UNITS = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9}


def byte_count(size: str) -> int:
    """Return how many bytes ``64MB``, ``1.5GB`` or ``4096`` are.

    Raises:
        ValueError: The text is no size, or less than one byte.
    """
    found = _SIZE.fullmatch(size)
    count = int(float(found[1]) * _UNITS[found[2] or "B"]) if found else 0
    if count < 1:
        raise ValueError(f"must be a size such as 500kB, 64MB or 1GB; received {size!r}")
    return count


def compression_of(wanted: Compression | None, output: OutputFormat) -> Compression:
    """Return the compression of an output format's files.

    Raises:
        ValueError: The format has no such compression.
    """
    compression = wanted or _DEFAULT_COMPRESSION[output]
    allowed = ("none", "gzip", "snappy", "zstd") if output == "parquet" else ("none", "gzip")
    if compression not in allowed:
        raise ValueError(f"{output} is compressed by {' or '.join(allowed)}; received {compression!r}")
    return compression


def suffix_of(output: OutputFormat, compression: Compression) -> str:
    """Return what the names of an output format's files end with; Parquet compresses inside its files."""
    return SUFFIXES[output] + (".gz" if compression == "gzip" and output != "parquet" else "")
