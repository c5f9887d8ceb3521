from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest

RECORD = bytes.fromhex("0300000000000000b099490e") + b"abc"
"""The first bytes of a TFRecord file: a length of 3, its masked CRC-32C, and the record."""


@pytest.mark.parametrize(
    ("content", "compression"),
    [
        (RECORD, ""),
        (b"", ""),
        (b"id,label\n1,2\n", ""),
        (gzip.compress(RECORD, mtime=0), "GZIP"),
        *((zlib.compress(RECORD, level), "ZLIB") for level in (1, 6, 9)),
    ],
)
def test_the_first_bytes_tell_the_compression(tmp_path: Path, content: bytes, compression: str) -> None:
    from penstock.components.trainer.compression import compression_of

    file = tmp_path / "rows"
    file.write_bytes(content)
    assert compression_of(str(file)) == compression


def test_a_record_as_long_as_a_gzip_header_reads_is_no_gzip(tmp_path: Path) -> None:
    import tensorflow as tf

    from penstock.components.trainer.compression import compression_of

    file = tmp_path / "rows"
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(bytes(0x8B1F))
    assert file.read_bytes()[:2] == b"\x1f\x8b"
    assert compression_of(str(file)) == ""


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_zlib_file_without_its_end(tmp_path: Path, share: float) -> None:
    from penstock.components.trainer.compression import missing_end

    file, content = tmp_path / "rows", zlib.compress(RECORD * 100)
    file.write_bytes(content)
    assert missing_end(str(file), "ZLIB", 0) is None
    file.write_bytes(content[: int(len(content) * share)])
    assert missing_end(str(file), "ZLIB", 0) == "the zlib file is cut short"


def test_a_damaged_zlib_file(tmp_path: Path) -> None:
    from penstock.components.trainer.compression import missing_end

    file = tmp_path / "rows"
    file.write_bytes(zlib.compress(RECORD)[:-1] + b"\0")
    assert missing_end(str(file), "ZLIB", 0) == (
        "the zlib file is damaged (Error -3 while decompressing data: incorrect data check)"
    )


def test_an_uncompressed_file_is_not_looked_at_again(tmp_path: Path) -> None:
    from penstock.components.trainer.compression import missing_end

    assert missing_end(str(tmp_path / "not-there"), "", 0) is None
